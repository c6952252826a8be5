// etcdserverpb.KV: ranges, puts, deletes, transactions, compaction. Core thread only.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"
#include "server/requests.h"

namespace quorate::rpc {

class KvService {
 public:
  KvService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Range(Call call, std::string_view bytes);
  void ServeRange(Call call, const server::RangeRequest& request);
  // A range that a reader has finished, or is to finish.
  struct LongRange {
    Call call;
    server::ResponseHeader header;
    mvcc::RangePlan plan;
    StatusOr<mvcc::RangeResult> result = mvcc::RangeResult{};
  };
  void FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header);
  // Answers as many of them as one round has time for.
  void AnswerLongRanges();
  void RespondRange(Call call, const StatusOr<mvcc::RangeResult>& result,
                    const server::ResponseHeader& header);
  void Put(Call call, std::string_view bytes);
  void DeleteRange(Call call, std::string_view bytes);
  void Txn(Call call, std::string_view bytes);
  void ServeReadOnlyTxn(Call call, const etcdserverpb::TxnRequest& txn);
  void Compact(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
  std::deque<std::shared_ptr<LongRange>> finished_;  // By readers, oldest first; not answered yet.
  std::string response_;                             // Reused.
};

}  // namespace quorate::rpc
