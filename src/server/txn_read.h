// A transaction that only reads, carried out in steps: the core plans, and fetches what is little and in
// memory; the rest is for a reader thread. Semantics: KvApplier::Txn, all of it at the one revision that is
// the newest when it begins.
//
// One at a time, with what orders it in between: Advance belongs to the core's thread, Fetch may run on any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "mvcc/store.h"
#include "rpc.pb.h"
#include "server/responses.h"

namespace quorate::server {

class TxnRead {
 public:
  // `txn` IsReadOnly, and stays as it is.
  explicit TxnRead(std::shared_ptr<const etcdserverpb::TxnRequest> txn) : txn_(std::move(txn)) {}

  enum class Next : uint8_t {
    kFetch,   // Fetch, and then Advance once more.
    kAnswer,  // All is there.
  };
  // With the member's store of the time of the call: another one may take its place between two calls. Begins
  // anew where what it reads has been compacted meanwhile. Errors: those of a range; ResourceExhausted when
  // the answer is larger than gRPC's largest message.
  StatusOr<Next> Advance(mvcc::Store* store);
  // `found` gets the pairs of each range that is to be answered.
  void Fetch(const std::function<void(std::span<const std::string_view>)>& found);

  // After kAnswer. The header's revision is the transaction's.
  size_t EncodedSize(const ResponseHeader& header) const;
  // Writes exactly EncodedSize bytes at `out`.
  void Encode(const ResponseHeader& header, char* out) const;

 private:
  using Operations = google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>;
  struct Found {
    mvcc::RangeResult range;
    size_t bytes = 0;  // Of its RangeResponse.
  };

  void Begin(int64_t revision);
  // Compares to be made, or ranges of the branch to be read, that are not even planned.
  bool MoreToPlan() const;
  mvcc::RangeOptions NextRange() const;
  void FetchOne(const mvcc::RangePlan& plan);
  Status Choose(const mvcc::Store& store);
  const Operations& branch() const { return *succeeded_ ? txn_->success() : txn_->failure(); }
  RangeResponseView View(const Found& found) const;
  std::string Head(ResponseHeader header) const;

  const std::shared_ptr<const etcdserverpb::TxnRequest> txn_;
  int64_t at_ = 0;  // 0: it has not begun.
  size_t fetches_left_ = 0;
  size_t compared_ = 0;  // The compares that held.
  bool compares_hold_ = true;
  std::optional<bool> succeeded_;       // Nothing: there are compares to come.
  std::vector<Found> found_;            // Of the branch's ranges.
  size_t bytes_ = 0;                    // Of their responses.
  std::vector<mvcc::RangePlan> plans_;  // Of what comes next, to be fetched.
  Status failure_;                      // Of a fetch.
};

}  // namespace quorate::server
