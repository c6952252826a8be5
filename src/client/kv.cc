#include "quorate/client/kv.h"

#include <algorithm>
#include <utility>

#include "client/pulled_stream.h"
#include "client/rpc.h"

namespace quorate::client {
namespace {

bool OnlyReads(const etcdserverpb::TxnRequest& txn) {
  const auto reads = [](const etcdserverpb::RequestOp& op) {
    if (op.has_request_txn()) return OnlyReads(op.request_txn());
    return op.has_request_range();
  };
  return std::all_of(txn.success().begin(), txn.success().end(), reads) &&
         std::all_of(txn.failure().begin(), txn.failure().end(), reads);
}

const Method& TxnMethod(const etcdserverpb::TxnRequest& txn) { return OnlyReads(txn) ? kReadTxn : kTxn; }

class PulledRange final : public RangeStream {
 public:
  explicit PulledRange(std::shared_ptr<PulledStream> stream) : stream_(std::move(stream)) {
    stream_->Start();
  }
  ~PulledRange() override { stream_->Cancel(); }
  StatusOr<bool> Next(RangeStreamResponse* part) override {
    grpc::ByteBuffer bytes;
    QUORATE_ASSIGN_OR_RETURN(const bool more, stream_->Next(&bytes));
    if (more) QUORATE_RETURN_IF_ERROR(FromBytes(bytes, part));
    return more;
  }

 private:
  const std::shared_ptr<PulledStream> stream_;
};

}  // namespace

StatusOr<RangeResponse> Kv::Get(const KeyRange& keys, const GetOptions& options, const CallOptions& call) {
  return Get(MakeRange(keys, options), call);
}

StatusOr<PutResponse> Kv::Put(std::string_view key, std::string_view value, const PutOptions& options,
                              const CallOptions& call) {
  return Put(MakePut(key, value, options), call);
}

StatusOr<DeleteRangeResponse> Kv::Delete(const KeyRange& keys, const DeleteOptions& options,
                                         const CallOptions& call) {
  return Delete(MakeDelete(keys, options), call);
}

StatusOr<TxnResponse> Kv::Commit(const Txn& txn, const CallOptions& call) {
  return Commit(txn.message(), call);
}

StatusOr<CompactionResponse> Kv::Compact(int64_t revision, bool physical, const CallOptions& call) {
  etcdserverpb::CompactionRequest request;
  request.set_revision(revision);
  request.set_physical(physical);
  return Call<CompactionResponse>(&core_, kCompact, request, call);
}

std::unique_ptr<RangeStream> Kv::GetStream(const KeyRange& keys, const GetOptions& options,
                                           const CallOptions& call) {
  return std::make_unique<PulledRange>(
      std::make_shared<PulledStream>(&core_, kRangeStream, ToBytes(MakeRange(keys, options)), call));
}

Future<RangeResponse> Kv::GetAsync(const KeyRange& keys, const GetOptions& options, const CallOptions& call) {
  return PromiseCall<RangeResponse>(&core_, kRange, MakeRange(keys, options), call);
}

Future<PutResponse> Kv::PutAsync(std::string_view key, std::string_view value, const PutOptions& options,
                                 const CallOptions& call) {
  return PromiseCall<PutResponse>(&core_, kPut, MakePut(key, value, options), call);
}

Future<DeleteRangeResponse> Kv::DeleteAsync(const KeyRange& keys, const DeleteOptions& options,
                                            const CallOptions& call) {
  return PromiseCall<DeleteRangeResponse>(&core_, kDeleteRange, MakeDelete(keys, options), call);
}

Future<TxnResponse> Kv::CommitAsync(const Txn& txn, const CallOptions& call) {
  return PromiseCall<TxnResponse>(&core_, TxnMethod(txn.message()), txn.message(), call);
}

void Kv::GetAsync(const KeyRange& keys, const GetOptions& options, const CallOptions& call,
                  Callback<RangeResponse> done) {
  StartCall<RangeResponse>(&core_, kRange, MakeRange(keys, options), call, std::move(done));
}

void Kv::PutAsync(std::string_view key, std::string_view value, const PutOptions& options,
                  const CallOptions& call, Callback<PutResponse> done) {
  StartCall<PutResponse>(&core_, kPut, MakePut(key, value, options), call, std::move(done));
}

void Kv::DeleteAsync(const KeyRange& keys, const DeleteOptions& options, const CallOptions& call,
                     Callback<DeleteRangeResponse> done) {
  StartCall<DeleteRangeResponse>(&core_, kDeleteRange, MakeDelete(keys, options), call, std::move(done));
}

void Kv::CommitAsync(const Txn& txn, const CallOptions& call, Callback<TxnResponse> done) {
  StartCall<TxnResponse>(&core_, TxnMethod(txn.message()), txn.message(), call, std::move(done));
}

StatusOr<RangeResponse> Kv::Get(const etcdserverpb::RangeRequest& request, const CallOptions& call) {
  return Call<RangeResponse>(&core_, kRange, request, call);
}

StatusOr<PutResponse> Kv::Put(const etcdserverpb::PutRequest& request, const CallOptions& call) {
  return Call<PutResponse>(&core_, kPut, request, call);
}

StatusOr<DeleteRangeResponse> Kv::Delete(const etcdserverpb::DeleteRangeRequest& request,
                                         const CallOptions& call) {
  return Call<DeleteRangeResponse>(&core_, kDeleteRange, request, call);
}

StatusOr<TxnResponse> Kv::Commit(const etcdserverpb::TxnRequest& request, const CallOptions& call) {
  return Call<TxnResponse>(&core_, TxnMethod(request), request, call);
}

}  // namespace quorate::client
