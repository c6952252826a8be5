// What each kind of log entry does to the replicated state. Permissions, alarms and quota are checked here,
// at apply, from replicated state only, so that all members decide alike. Source of the rules: etcd 3.4's
// etcdserver/apply.go and apply_auth.go, with later security fixes. Core thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "auth/auth_store.h"
#include "base/status.h"
#include "lease/lessor.h"
#include "mvcc/backend.h"
#include "mvcc/store.h"
#include "rpc.pb.h"
#include "server/alarms.h"
#include "server/config.h"
#include "server/kv_applier.h"
#include "server/lease_permissions.h"
#include "server/metrics.h"
#include "server/reply.h"
#include "server/requests.h"

namespace quorate::server {

// etcd's cost of a request against the quota (storage/quota.go): 256 bytes and key and value a put, 64 a
// lease.
int64_t QuotaCost(const PutRequest& request);
int64_t QuotaCost(const etcdserverpb::TxnRequest& request);
constexpr int64_t kLeaseQuotaCost = 64;

class Applier {
 public:
  struct Parts {
    const Config* config;
    mvcc::Backend* backend;
    mvcc::Store* store;
    lease::Lessor* lessor;
    auth::AuthStore* auth;
    Alarms* alarms;
    Metrics* metrics;
    // The header of responses, as of now.
    std::function<ResponseHeader()> header;
    // Monotonic nanoseconds.
    std::function<int64_t()> now;
    // Asks for a NOSPACE alarm of this member.
    std::function<void()> raise_no_space;
  };
  explicit Applier(Parts parts);

  // `reply` may be empty: nobody on this member waits. It runs before the return, except for a compaction
  // whose physical end was asked for.
  void Apply(const EntryView& entry, uint64_t index, const Reply& reply);

  // DataLoss for an entry that Apply would not understand: of an unknown kind, or malformed.
  static Status CheckReadable(const EntryView& entry);

  // Where applying an entry would hash a password, which takes long: whose it is, and the password. The hash
  // is to be left with AuthStore::KeepHash before the entry is applied.
  struct PasswordToHash {
    std::string user;
    std::string password;
  };
  std::optional<PasswordToHash> FindPasswordToHash(const EntryView& entry) const;

  KvApplier& kv() { return kv_; }
  bool QuotaAvailable(int64_t cost) const;
  int64_t quota_bytes() const;

  // Permission checks shared with reads, which do not go through the log.
  Status CheckTxnPermitted(const auth::AuthInfo& who, const etcdserverpb::TxnRequest& txn);
  LeasePermissions& lease_permissions() { return lease_permissions_; }

 private:
  Status Put(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  Status DeleteRange(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  Status Txn(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  Status Range(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  void Compaction(const EntryView& entry, const Reply& reply);
  Status LeaseGrant(const EntryView& entry, std::string* out);
  Status LeaseRevoke(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  Status LeaseCheckpoint(const EntryView& entry);
  Status AlarmRequest(const EntryView& entry, std::string* out);
  Status Auth(const EntryView& entry, uint64_t index, const auth::AuthInfo& who, std::string* out);
  Status Authenticate(const EntryView& entry, uint64_t index, std::string* out);
  static Status CheckAuthReadable(const EntryView& entry);
  Status AuthChange(const EntryView& entry);
  Status AuthRead(const EntryView& entry, const auth::AuthInfo& who, std::string* out);
  Status Dispatch(const EntryView& entry, uint64_t index, const auth::AuthInfo& who, std::string* out);

  bool capped() const { return parts_.alarms->Has(AlarmType::kNoSpace); }
  bool corrupt() const { return parts_.alarms->Has(AlarmType::kCorrupt); }
  // A write that was applied although it crossed the quota: the original says no all the same, and raises the
  // alarm.
  Status AfterQuota(bool available, Status applied);

  // For all puts that CheckTxnPermitted has passed, and that were done.
  void NotePuts(const auth::AuthInfo& who, const etcdserverpb::TxnRequest& txn);

  Parts parts_;
  KvApplier kv_;
  LeasePermissions lease_permissions_;
};

}  // namespace quorate::server
