#include "cmd/quoratectl/mirror.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/status.h"

namespace quorate::cmd {
namespace {

using client::Op;
using client::Status;
using client::StatusOr;

constexpr int64_t kPageKeys = 1000;
// Of one transaction at the destination: far below etcd's limit of 1.5 MB for a request.
constexpr size_t kTxnBytesMax = 512 * 1024;
constexpr std::chrono::seconds kPause{1};

bool MayPass(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace

Mirror::Mirror(client::Client* from, client::Client* to, MirrorOptions options,
               std::function<void(std::string_view)> tell)
    : from_(*from), to_(*to), options_(std::move(options)), tell_(std::move(tell)) {}

Status Mirror::Run() {
  if (options_.revision > 0) {
    revision_ = options_.revision - 1;
  } else {
    QUORATE_RETURN_IF_ERROR(CopyAll());
  }
  return Follow();
}

template <typename Response>
StatusOr<Response> Mirror::Persistently(const std::function<StatusOr<Response>()>& call) {
  while (true) {
    StatusOr<Response> response = call();
    if (response.ok() || !MayPass(response.status())) return response;
    tell_(client::Text(response.status()));
    std::this_thread::sleep_for(kPause);
  }
}

std::string Mirror::DestKey(std::string_view key) const {
  return options_.dest_prefix + std::string(key.substr(options_.prefix.size()));
}

client::KeyRange Mirror::Keys() const {
  return options_.prefix.empty() ? client::AllKeys() : client::Prefix(options_.prefix);
}

Status Mirror::CopyAll() {
  client::KeyRange keys = Keys();
  while (true) {
    // All pages are of the revision of the first one.
    const auto page = Persistently<client::RangeResponse>(
        [&] { return from_.kv().Get(keys, {.limit = kPageKeys, .revision = revision_}); });
    QUORATE_RETURN_IF_ERROR(page.status());
    if (revision_ == 0) revision_ = page->header().revision();
    Ops ops;
    size_t bytes = 0;
    for (const mvccpb::KeyValue& kv : page->kvs()) {
      bytes += kv.key().size() + kv.value().size();
      if (bytes > kTxnBytesMax || ops.size() == options_.max_txn_ops) {
        QUORATE_RETURN_IF_ERROR(Write(&ops));
        bytes = kv.key().size() + kv.value().size();
      }
      ops.push_back(Op::Put(DestKey(kv.key()), kv.value()));
    }
    QUORATE_RETURN_IF_ERROR(Write(&ops));
    if (!page->more() || page->kvs().empty()) return absl::OkStatus();
    keys.key = page->kvs(page->kvs_size() - 1).key() + std::string(1, '\0');
  }
}

Status Mirror::Follow() {
  const auto watch = from_.watches().Start(Keys(), {.start_revision = revision_ + 1});
  while (true) {
    const StatusOr<client::WatchResponse> changes = watch->Next();
    QUORATE_RETURN_IF_ERROR(changes.status());
    QUORATE_RETURN_IF_ERROR(Apply(*changes));
  }
}

Status Mirror::Apply(const client::WatchResponse& changes) {
  Ops ops;
  for (const mvccpb::Event& event : changes.events()) {
    const bool next_revision = event.kv().mod_revision() > revision_;
    if (next_revision || ops.size() == options_.max_txn_ops) QUORATE_RETURN_IF_ERROR(Write(&ops));
    revision_ = event.kv().mod_revision();
    const std::string key = DestKey(event.kv().key());
    ops.push_back(event.type() == mvccpb::Event::PUT ? Op::Put(key, event.kv().value()) : Op::Delete(key));
  }
  return Write(&ops);
}

Status Mirror::Write(Ops* ops) {
  if (ops->empty()) return absl::OkStatus();
  client::Txn txn;
  txn.Then(*ops);
  client::CallOptions call;
  call.repeatable = true;
  const auto written = Persistently<client::TxnResponse>([&] { return to_.kv().Commit(txn, call); });
  QUORATE_RETURN_IF_ERROR(written.status());
  total_ += ops->size();
  ops->clear();
  return absl::OkStatus();
}

}  // namespace quorate::cmd
