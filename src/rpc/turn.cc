#include "rpc/turn.h"

#include <cstdio>
#include <utility>

#include "rpc/first_created.h"
#include "rpc/parse.h"
#include "server/errors.h"
#include "server/kv_applier.h"

namespace quorate::rpc {
namespace {

constexpr int64_t kOwnLeaseSeconds = 60;

// Source: etcd client/v3/concurrency/mutex.go.
Status ErrSessionExpired() { return Unknown("mutex: session is expired"); }

}  // namespace

// As Go prints a signed number with %x: sign and magnitude.
std::string ContenderKey(std::string_view name, int64_t lease) {
  char hex[24];
  const auto bits = static_cast<unsigned long long>(lease);
  std::snprintf(hex, sizeof hex, "/%s%llx", lease < 0 ? "-" : "", lease < 0 ? 0 - bits : bits);
  return std::string(name) + hex;
}

void Turn::Take(std::string name, int64_t lease, std::string value, Done done) {
  prefix_ = std::move(name);
  value_ = std::move(value);
  done_ = std::move(done);
  place_.lease = lease;
  if (lease == 0) {
    GrantLease();
  } else {
    PutKey();
  }
}

void Turn::GrantLease() {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(kOwnLeaseSeconds);
  request.set_id(static_cast<int64_t>(member_.NextRequestId() & INT64_MAX));
  member_.Propose(server::EntryKind::kLeaseGrant, request.SerializeAsString(), who_,
                  [weak = weak_from_this(), id = request.id()](const Status& status, std::string_view) {
                    const auto self = weak.lock();
                    if (!self) return;
                    if (!status.ok()) return self->Finish(status);
                    self->place_.lease = id;
                    self->PutKey();
                  });
}

void Turn::PutKey() {
  place_.key = ContenderKey(prefix_, place_.lease);
  prefix_ += "/";
  etcdserverpb::TxnRequest txn;
  auto* compare = txn.add_compare();
  compare->set_target(etcdserverpb::Compare::CREATE);
  compare->set_key(place_.key);
  compare->set_create_revision(0);
  auto* put = txn.add_success()->mutable_request_put();
  put->set_key(place_.key);
  put->set_value(value_);
  put->set_lease(place_.lease);
  txn.add_failure()->mutable_request_range()->set_key(place_.key);
  member_.Propose(server::EntryKind::kTxn, txn.SerializeAsString(), who_,
                  // Kept alive until the answer: a key put by one who has given up must go again.
                  [self = shared_from_this()](const Status& status, std::string_view response) {
                    self->OnKeyPut(status, response);
                  });
}

// The same user, whatever has been changed about users meanwhile.
auth::AuthInfo Turn::Who() const {
  return IsNobody(who_) ? who_ : auth::AuthInfo{who_.username, member_.auth().revision()};
}

void Turn::OnKeyPut(const Status& status, std::string_view response) {
  if (!status.ok()) return Finish(status);
  key_put_ = true;
  etcdserverpb::TxnResponse txn;
  if (!Parse(response, &txn)) return Finish(Internal("malformed answer of the store"));
  if (!done_) {
    if (txn.succeeded()) Abandon();
    return;
  }
  if (txn.succeeded()) {
    place_.create_revision = txn.header().revision();
  } else {
    const auto& kv = txn.responses(0).response_range().kvs(0);
    place_.create_revision = kv.create_revision();
    place_.existed = true;
    place_.value = kv.value();
  }
  Look();
}

void Turn::Look() {
  if (!done_) return;
  watch_.reset();
  if (const Status denied = Permitted(); !denied.ok()) return Finish(denied);
  FindFirstCreated(&member_, &paced_, {prefix_, mvcc::SortOrder::kDescend, place_.create_revision - 1},
                   [weak = weak_from_this()](const StatusOr<FirstCreated>& older) {
                     if (const auto self = weak.lock()) self->OnLook(older);
                   });
}

Status Turn::Permitted() const { return member_.auth().IsRangePermitted(Who(), prefix_, PrefixEnd(prefix_)); }

void Turn::OnLook(const StatusOr<FirstCreated>& older) {
  if (!done_) return;
  if (!older.ok()) return Finish(older.status());
  if (const Status denied = Permitted(); !denied.ok()) return Finish(denied);
  if (!older->kv) return Finish(absl::OkStatus());
  WatchForDelete(std::string(server::ParseKeyValue(*older->kv).key), older->revision + 1);
}

void Turn::WatchForDelete(std::string key, int64_t revision) {
  watch_ = member_.watch_hub().OpenStream(this);
  mvcc::WatchOptions options;
  options.key = std::move(key);
  options.start_revision = revision;
  options.no_put = true;
  if (const auto id = watch_->Create(options); !id.ok()) Finish(id.status());
}

// The hub must not be called back from within a delivery.
void Turn::LookAgainSoon() {
  if (look_scheduled_) return;
  look_scheduled_ = true;
  loop_.Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->look_scheduled_ = false;
    self->Look();
  });
}

void Turn::OnEvents(mvcc::WatchId, int64_t, std::shared_ptr<const mvcc::WatchEvents>, bool) {
  LookAgainSoon();
}
void Turn::OnCompacted(mvcc::WatchId, int64_t) { LookAgainSoon(); }

void Turn::Finish(const Status& status) {
  watch_.reset();
  if (!done_) return;
  const Done done = std::exchange(done_, nullptr);
  // A lock whose key is gone, because the lease ran out or somebody has deleted it, is no lock.
  if (status.ok() && !member_.store().Find(place_.key, member_.store().current_revision())) {
    return done(ErrSessionExpired(), place_);
  }
  done(status, place_);
}

void Turn::Abandon() {
  done_ = nullptr;
  watch_.reset();
  if (!key_put_) return;
  std::string body;
  server::Append(body, server::DeleteRangeRequest{place_.key, {}, false});
  member_.Propose(server::EntryKind::kDeleteRange, body, Who(), {});
}

}  // namespace quorate::rpc
