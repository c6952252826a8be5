// Carries out key-value requests on the store: what an applied log entry does, and what a read answers.
// Deterministic: the same log gives the same revisions on every member. Semantics: etcd 3.4's
// etcdserver/apply.go. Core thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "lease/lessor.h"
#include "mvcc/store.h"
#include "rpc.pb.h"
#include "server/requests.h"
#include "server/responses.h"

namespace quorate::server {

// The pair's fields, for compares and for puts that keep the old value or lease.
struct KeyValueView {
  std::string_view key;
  std::string_view value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  int64_t lease = 0;
};
KeyValueView ParseKeyValue(std::string_view encoded);

mvcc::RangeOptions ToRangeOptions(const RangeRequest& request);
RangeRequest ToView(const etcdserverpb::RangeRequest& request);
PutRequest ToView(const etcdserverpb::PutRequest& request);
DeleteRangeRequest ToView(const etcdserverpb::DeleteRangeRequest& request);

class KvApplier {
 public:
  KvApplier(mvcc::Store* store, lease::Lessor* lessor) : store_(store), lessor_(lessor) {}

  // Each appends the encoded response to *out, with `header` as its header (the revision is filled in),
  // unless out is null: then nobody waits and no response is built. On an error nothing was changed and
  // nothing appended, but for DataLoss, after which the process must end.
  Status Put(const PutRequest& request, ResponseHeader header, std::string* out);
  Status DeleteRange(const DeleteRangeRequest& request, ResponseHeader header, std::string* out);
  // Reads and writes alike. A read-only one may run at any time, outside the log.
  Status Txn(const etcdserverpb::TxnRequest& request, ResponseHeader header, std::string* out);

 private:
  class TxnRun;

  Status CheckPut(const PutRequest& request) const;

  mvcc::Store* const store_;
  lease::Lessor* const lessor_;
};

}  // namespace quorate::server
