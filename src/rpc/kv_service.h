// etcdserverpb.KV: ranges, puts, deletes, transactions, compaction. Core thread only.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "net/server.h"
#include "rpc/context.h"
#include "server/requests.h"

namespace quorate::rpc {

class KvService {
 public:
  explicit KvService(Context* context) : context_(*context), member_(context->member()) {}
  void Register(std::span<net::Server* const> servers);

 private:
  void Range(Call call, std::string_view bytes);
  void ServeRange(Call call, const server::RangeRequest& request);
  void FinishOnReader(Call call, mvcc::RangePlan plan, const server::ResponseHeader& header);
  void RespondRange(Call call, const StatusOr<mvcc::RangeResult>& result,
                    const server::ResponseHeader& header);
  void Put(Call call, std::string_view bytes);
  void DeleteRange(Call call, std::string_view bytes);
  void Txn(Call call, std::string_view bytes);
  void ServeReadOnlyTxn(Call call, const etcdserverpb::TxnRequest& txn);
  void Compact(Call call, std::string_view bytes);

  Context& context_;
  server::Member& member_;
  std::string response_;  // Reused.
};

}  // namespace quorate::rpc
