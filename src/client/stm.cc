#include "quorate/client/stm.h"

#include <utility>

#include "base/status.h"

namespace quorate::client {

StatusOr<std::optional<std::string>> Stm::Get(std::string_view key) {
  if (const auto written = writes_.find(key); written != writes_.end()) return written->second.value;
  if (const auto read = reads_.find(key); read != reads_.end()) return read->second.value;
  QUORATE_ASSIGN_OR_RETURN(const RangeResponse response,
                           client_.kv().Get(key, {.revision = revision_}, call_));
  if (revision_ == 0) revision_ = response.header().revision();
  Read read;
  if (!response.kvs().empty()) read = {response.kvs(0).value(), response.kvs(0).mod_revision()};
  return reads_.emplace(key, std::move(read)).first->second.value;
}

void Stm::Put(std::string_view key, std::string_view value, const PutOptions& options) {
  writes_.insert_or_assign(std::string(key), Write{std::string(value), Op::Put(key, value, options)});
}

void Stm::Delete(std::string_view key) {
  writes_.insert_or_assign(std::string(key), Write{std::nullopt, Op::Delete(KeyRange(key))});
}

Txn Stm::Commit() const {
  Txn txn;
  for (const auto& [key, read] : reads_) txn.If({ModRevisionOf(key).Equals(read.mod_revision)});
  for (const auto& [key, write] : writes_) {
    // Without a read there is no revision whose state the writes belong to.
    if (revision_ != 0) txn.If({ModRevisionOf(key).Less(revision_ + 1)});
    txn.Then({write.op});
  }
  return txn;
}

StatusOr<TxnResponse> Atomically(Client* client, const std::function<Status(Stm*)>& body,
                                 const CallOptions& call) {
  while (true) {
    Stm stm(client, call);
    const Status done = body(&stm);
    // The revision that it saw may be compacted while it runs.
    if (IsCompacted(done)) continue;
    QUORATE_RETURN_IF_ERROR(done);
    QUORATE_ASSIGN_OR_RETURN(TxnResponse response, client->kv().Commit(stm.Commit(), call));
    if (response.succeeded()) return response;
  }
}

}  // namespace quorate::client
