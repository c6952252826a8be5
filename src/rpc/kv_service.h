// etcdserverpb.KV: ranges, puts, deletes, transactions, compaction. Core thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"
#include "server/requests.h"
#include "server/txn_read.h"

namespace quorate::rpc {

class KvService {
 public:
  explicit KvService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Range(Call call, std::string_view bytes);
  // Now, or when its turn has come where it has many keys to visit. `bytes` is the request's.
  void ServeRange(Call call, const server::RangeRequest& request, std::string_view bytes);
  // Keys of the index that planning it will visit, at most.
  size_t KeysToVisit(const server::RangeRequest& request) const;
  struct WaitingRange {
    Call call;
    std::string bytes;
    size_t keys = 0;
  };
  void BeginWaitingRanges();
  // Runs once the answer has been given, or it has been refused.
  using Answered = std::function<void()>;
  void PlanRange(Call call, const server::RangeRequest& request, const Answered& answered);
  // A range that a reader is to finish.
  struct LongRange {
    Call call;
    server::ResponseHeader header;
    mvcc::RangePlan plan;
    Answered answered;
    StatusOr<mvcc::RangeResult> result = mvcc::RangeResult{};
    size_t bytes = 0;  // Of its values.
  };
  void FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header,
                      const Answered& answered);
  void RespondRange(Call call, const StatusOr<mvcc::RangeResult>& result,
                    const server::ResponseHeader& header);
  void Put(Call call, std::string_view bytes);
  void DeleteRange(Call call, std::string_view bytes);
  void Txn(Call call, std::string_view bytes);
  struct ReadOnlyTxn {
    Call call;
    server::ResponseHeader header;
    server::TxnRead read;
    bool fetched = false;  // By a reader: the answer may be long.
  };
  void ServeReadOnlyTxn(Call call, const std::shared_ptr<const etcdserverpb::TxnRequest>& txn);
  void Advance(const std::shared_ptr<ReadOnlyTxn>& txn);
  void FetchOnReader(const std::shared_ptr<ReadOnlyTxn>& txn);
  void Compact(Call call, std::string_view bytes);

  // Ranges of many keys that are under way at once: each has its own list of them.
  static constexpr int kLongRangesMax = 8;

  Context& context_;
  server::Member& member_;
  std::deque<WaitingRange> waiting_ranges_;  // Oldest first.
  int long_ranges_ = 0;                      // Under way.
};

}  // namespace quorate::rpc
