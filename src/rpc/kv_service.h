// etcdserverpb.KV: ranges, puts, deletes, transactions, compaction. Core thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "net/loop.h"
#include "net/server.h"
#include "rpc/context.h"
#include "server/requests.h"
#include "server/txn_read.h"

namespace quorate::rpc {

class KvService {
 public:
  KvService(Context* context, net::Loop* loop)
      : context_(*context), member_(context->member()), loop_(*loop) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Range(Call call, std::string_view bytes);
  void ServeRange(Call call, const server::RangeRequest& request);
  // A range that a reader is to finish.
  struct LongRange {
    Call call;
    server::ResponseHeader header;
    mvcc::RangePlan plan;
    StatusOr<mvcc::RangeResult> result = mvcc::RangeResult{};
    size_t bytes = 0;  // Of its values.
  };
  void FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header);
  // The rest of what a reader has worked for, in one of the next rounds: `bytes` of an answer are copied
  // then.
  void Later(size_t bytes, std::function<void()> work);
  // As much of it as one round has time for.
  void WorkLater();
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

  Context& context_;
  server::Member& member_;
  net::Loop& loop_;
  struct Waiting {
    size_t bytes;
    std::function<void()> work;
  };
  std::deque<Waiting> waiting_;  // For a round that has time for it, oldest first.
};

}  // namespace quorate::rpc
