// Keys and values. All calls may be made from any thread, at the same time.
//
// Reads (Get, and transactions that only read) are retried while members are unavailable; writes only when
// they surely did not happen. status.h says what an error means for a write.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quorate/client/key_range.h"
#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "quorate/client/txn.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using etcdserverpb::CompactionResponse;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeResponse;
using etcdserverpb::RangeStreamResponse;
using etcdserverpb::TxnResponse;

// Runs once, on the client's thread, and never within the call that it is given to: it must not block, nor
// call what waits (that fails with kFailedPrecondition). client.h says what becomes of it when the client is
// destroyed.
template <typename Response>
using Callback = std::function<void(StatusOr<Response>)>;
template <typename Response>
using Future = std::future<StatusOr<Response>>;

// The parts of a long answer, in order. One thread at a time.
class RangeStream {
 public:
  virtual ~RangeStream() = default;
  // Waits for the next part and returns true; false after the last one.
  virtual StatusOr<bool> Next(RangeStreamResponse* part) = 0;
};

class Kv {
 public:
  explicit Kv(Core* core) : core_(*core) {}

  StatusOr<RangeResponse> Get(const KeyRange& keys, const GetOptions& options = {},
                              const CallOptions& call = {});
  StatusOr<PutResponse> Put(std::string_view key, std::string_view value, const PutOptions& options = {},
                            const CallOptions& call = {});
  StatusOr<DeleteRangeResponse> Delete(const KeyRange& keys, const DeleteOptions& options = {},
                                       const CallOptions& call = {});
  StatusOr<TxnResponse> Commit(const Txn& txn, const CallOptions& call = {});
  // Revisions below this one can't be read any more. `physical`: answered only when their space is free in
  // the file.
  StatusOr<CompactionResponse> Compact(int64_t revision, bool physical = false, const CallOptions& call = {});
  // A Get answered in parts, for ranges too long for one message. Needs a server of etcd's API 3.7.
  std::unique_ptr<RangeStream> GetStream(const KeyRange& keys, const GetOptions& options = {},
                                         const CallOptions& call = {});

  Future<RangeResponse> GetAsync(const KeyRange& keys, const GetOptions& options = {},
                                 const CallOptions& call = {});
  Future<PutResponse> PutAsync(std::string_view key, std::string_view value, const PutOptions& options = {},
                               const CallOptions& call = {});
  Future<DeleteRangeResponse> DeleteAsync(const KeyRange& keys, const DeleteOptions& options = {},
                                          const CallOptions& call = {});
  Future<TxnResponse> CommitAsync(const Txn& txn, const CallOptions& call = {});

  void GetAsync(const KeyRange& keys, const GetOptions& options, const CallOptions& call,
                Callback<RangeResponse> done);
  void PutAsync(std::string_view key, std::string_view value, const PutOptions& options,
                const CallOptions& call, Callback<PutResponse> done);
  void DeleteAsync(const KeyRange& keys, const DeleteOptions& options, const CallOptions& call,
                   Callback<DeleteRangeResponse> done);
  void CommitAsync(const Txn& txn, const CallOptions& call, Callback<TxnResponse> done);

  // The same on requests made elsewhere.
  StatusOr<RangeResponse> Get(const etcdserverpb::RangeRequest& request, const CallOptions& call = {});
  StatusOr<PutResponse> Put(const etcdserverpb::PutRequest& request, const CallOptions& call = {});
  StatusOr<DeleteRangeResponse> Delete(const etcdserverpb::DeleteRangeRequest& request,
                                       const CallOptions& call = {});
  StatusOr<TxnResponse> Commit(const etcdserverpb::TxnRequest& request, const CallOptions& call = {});

 private:
  Core& core_;
};

}  // namespace quorate::client
