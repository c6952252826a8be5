#include "quorate/client/watch.h"

#include <future>
#include <utility>

#include "client/core.h"
#include "client/later.h"

namespace quorate::client {
namespace {

class WatchHandle final : public Watch {
 public:
  WatchHandle(Core* core, std::shared_ptr<WatchState> state)
      : core_(*core),
        loop_(core->shared_loop()),
        state_(std::move(state)),
        mailbox_(state_->mailbox),
        handled_(static_cast<bool>(state_->handler)) {
    mailbox_->OnDrained(
        [this] { loop_->Post([core = &core_, state = state_] { core->watches().Resume(state); }); });
    loop_->Post([core = &core_, state = state_] { core->watches().Add(state); });
  }
  ~WatchHandle() override { Cancel(); }

  StatusOr<WatchResponse> Next() override {
    if (loop_->InLoop())
      return FailedPrecondition("Next waits; it can't be called on the client's own thread");
    return *mailbox_->Take(std::nullopt);
  }
  std::optional<StatusOr<WatchResponse>> Next(std::chrono::milliseconds timeout) override {
    if (loop_->InLoop()) timeout = {};
    const auto until = Later(timeout);
    return mailbox_->Take(until == Clock::time_point::max() ? std::nullopt : std::optional(until));
  }

  // With a handler it returns only when that runs no more, or, within a handler, is not called any more, so
  // that what it uses can be destroyed.
  void Cancel() override {
    // Before the task: an answer may be on its way to it.
    if (loop_->InLoop()) state_->handler = nullptr;
    mailbox_->Abandon(MakeStatus(absl::StatusCode::kCancelled, "the watch is cancelled"));
    auto ended = std::make_shared<std::promise<void>>();
    const bool posted = loop_->Post([core = &core_, state = state_, ended] {
      core->watches().Remove(state);
      state->handler = nullptr;
      ended->set_value();
    });
    if (handled_ && posted && !loop_->InLoop()) ended->get_future().wait();
  }

  int64_t compact_revision() const override { return mailbox_->last().compact_revision(); }
  etcdserverpb::ResponseHeader end_header() const override { return mailbox_->last().header(); }

 private:
  Core& core_;  // Touched in tasks of the loop only, which end before it does.
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<WatchState> state_;
  const std::shared_ptr<WatchMailbox> mailbox_;
  const bool handled_;
};

}  // namespace

std::unique_ptr<Watch> Watches::Start(const KeyRange& keys, const WatchOptions& options) {
  return Start(keys, options, nullptr);
}

std::unique_ptr<Watch> Watches::Start(const KeyRange& keys, const WatchOptions& options,
                                      WatchHandler handler) {
  auto state =
      std::make_shared<WatchState>(keys, options, std::move(handler), core_.options().watch_buffer_bytes);
  return std::make_unique<WatchHandle>(&core_, std::move(state));
}

void Watches::RequestProgress() {
  core_.loop().Post([core = &core_] { core->watches().RequestProgress(); });
}

}  // namespace quorate::client
