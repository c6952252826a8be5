#include "rpc/range_stream.h"

#include <string>
#include <utility>

#include "base/wire.h"
#include "server/errors.h"
#include "server/kv_applier.h"
#include "server/requests.h"
#include "server/responses.h"
#include "server/txn_check.h"

namespace quorate::rpc {
namespace {

constexpr int64_t kFirstChunkKeys = 10;

Status Unimplemented(std::string_view text) { return MakeStatus(absl::StatusCode::kUnimplemented, text); }

// One stream. Chunks grow and shrink towards the size of a request: doubled while below half of it, halved
// above twice.
class RangeStream : public net::StreamHandler, public std::enable_shared_from_this<RangeStream> {
 public:
  RangeStream(Context* context, Stream stream)
      : context_(*context), member_(context->member()), stream_(stream) {}

  void OnMessage(std::string_view bytes) override {
    stream_.Received();
    if (started_) return;
    started_ = true;
    // Itself, and the key to go on from.
    if (!stream_.HoldRequest(2 * bytes.size())) return Finish(TooMuchKept());
    bytes_ = std::string(bytes);
    if (!server::Decode(bytes_, &request_)) return Finish(MalformedRequest("RangeRequest"));
    if (const Status bad = Check(); !bad.ok()) return Finish(bad);
    auto who = context_.Identify(stream_);
    if (!who.ok()) return Finish(who.status());
    who_ = *std::move(who);
    if (request_.serializable) return Begin(absl::OkStatus());
    member_.WhenLinearizable(
        [weak = weak_from_this()](const Status& status) {
          if (const auto self = weak.lock()) self->Begin(status);
        },
        bytes_.size());
  }
  void OnHalfClose() override {}
  void OnClosed(net::Code reason) override {
    finished_ = true;
    stream_.Closed(reason);
  }
  void OnWritable() override { Pump(); }

 private:
  Status Check() const {
    QUORATE_RETURN_IF_ERROR(server::CheckRange(request_.key, request_.sort_order, request_.sort_target));
    const bool ascending_keys = request_.sort_target == 0 && request_.sort_order <= 1;
    if (!ascending_keys) return Unimplemented("RangeStream does not support custom sort orders");
    if (request_.min_mod_revision != 0 || request_.max_mod_revision != 0 ||
        request_.min_create_revision != 0 || request_.max_create_revision != 0) {
      return Unimplemented("RangeStream does not support revision filters");
    }
    return absl::OkStatus();
  }

  void Begin(const Status& status) {
    if (finished_) return;
    if (!status.ok()) return Finish(status);
    next_key_ = std::string(request_.key);
    revision_ = request_.revision;
    remaining_ = request_.limit;
    Fetch();
  }

  // Goes on unless the chunk just sent has to wait for the client: then OnWritable comes.
  void Pump() {
    if (!finished_ && !fetching_ && !stream_.full()) Fetch();
  }

  // A chunk is fetched on a reader thread.
  void Fetch() {
    if (const Status denied = member_.auth().IsRangePermitted(who_, request_.key, request_.range_end);
        !denied.ok()) {
      return Finish(denied);
    }
    auto options = server::ToRangeOptions(request_);
    options.key = next_key_;
    options.revision = revision_;
    options.limit = request_.count_only ? 0 : chunk_keys_;
    if (!request_.count_only && remaining_ > 0) options.limit = std::min(options.limit, remaining_);
    auto plan = member_.store().PlanRange(options);
    if (!plan.ok()) return Finish(plan.status());
    header_ = member_.header();
    if (revision_ <= 0) revision_ = header_.revision;
    if (total_ < 0) total_ = plan->count();

    struct Job {
      mvcc::RangePlan plan;
      StatusOr<mvcc::RangeResult> result = mvcc::RangeResult{};
    };
    auto job = std::make_shared<Job>();
    job->plan = *std::move(plan);
    fetching_ = true;
    member_.env().executor->Submit(
        Lane::kRead, [job] { job->result = job->plan.Finish(); },
        [weak = weak_from_this(), job] {
          if (const auto self = weak.lock()) self->Fetched(job->result);
        });
  }

  void Fetched(const StatusOr<mvcc::RangeResult>& result) {
    fetching_ = false;
    if (finished_) return;
    if (!result.ok()) return Finish(result.status());
    const auto keys = static_cast<int64_t>(result->kvs.size());
    if (request_.limit > 0) remaining_ -= keys;
    const bool limit_reached = request_.limit > 0 && remaining_ <= 0;
    const bool last = !result->more || limit_reached || keys == 0;

    std::string range;
    if (last) {
      server::AppendRangeResponse(range, header_, result->kvs, result->more && limit_reached, total_);
    } else {
      for (std::string_view kv : result->kvs) wire::AppendBytesField(range, 2, kv);
    }
    std::string message;
    wire::AppendBytesField(message, 1, range);
    stream_.Send(message);
    if (last) return Finish(absl::OkStatus());

    next_key_ = std::string(server::ParseKeyValue(result->kvs[result->kvs.size() - 1]).key) + '\0';
    const size_t wanted = member_.config().request_bytes_max;
    if (message.size() < wanted / 2) chunk_keys_ *= 2;
    if (message.size() > wanted * 2) chunk_keys_ = std::max<int64_t>(1, chunk_keys_ / 2);
    Pump();
  }

  void Finish(const Status& status) {
    finished_ = true;
    stream_.Finish(status);
  }

  Context& context_;
  server::Member& member_;
  Stream stream_;
  std::string bytes_;  // Behind request_.
  server::RangeRequest request_;
  auth::AuthInfo who_;
  server::ResponseHeader header_;
  std::string next_key_;
  int64_t revision_ = 0;
  int64_t remaining_ = 0;
  int64_t chunk_keys_ = kFirstChunkKeys;
  int64_t total_ = -1;  // Keys in the whole range, counted with the first chunk.
  bool started_ = false;
  bool fetching_ = false;
  bool finished_ = false;
};

// The handler that net owns; reads under way hold the stream itself.
class Owner : public net::StreamHandler {
 public:
  explicit Owner(std::shared_ptr<RangeStream> stream) : stream_(std::move(stream)) {}
  void OnMessage(std::string_view m) override { stream_->OnMessage(m); }
  void OnHalfClose() override { stream_->OnHalfClose(); }
  void OnClosed(net::Code reason) override { stream_->OnClosed(reason); }
  void OnWritable() override { stream_->OnWritable(); }

 private:
  std::shared_ptr<RangeStream> stream_;
};

}  // namespace

std::unique_ptr<net::StreamHandler> MakeRangeStream(Context* context, Stream stream) {
  return std::make_unique<Owner>(std::make_shared<RangeStream>(context, stream));
}

}  // namespace quorate::rpc
