#include "peer/session_maker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace quorate::peer {

struct SessionMaker::State {
  struct Job {
    std::shared_ptr<net::TlsContext> context;
    std::weak_ptr<const void> wanted;
    std::shared_ptr<Done> done;
  };

  // On the thread: works until nothing waits.
  static void Serve(const std::shared_ptr<State>& state) {
    std::unique_lock lock(state->mutex);
    while (!state->waiting.empty()) {
      Job job = std::move(state->waiting.front());
      state->waiting.pop_front();
      if (job.wanted.expired()) continue;
      lock.unlock();
      auto made = std::make_shared<StatusOr<net::TlsSession>>(job.context->NewSession());
      lock.lock();
      if (state->loop == nullptr) break;
      state->loop->Post([weak = std::weak_ptr<State>(state), job = std::move(job), made] {
        const std::shared_ptr<State> alive = weak.lock();
        if (alive != nullptr && alive->open && !job.wanted.expired()) (*job.done)(std::move(*made));
      });
    }
    state->working = false;
    state->ended.notify_all();
  }

  bool open = true;  // Loop's thread only.

  std::mutex mutex;  // Guards what follows.
  std::condition_variable ended;
  net::Loop* loop = nullptr;
  std::deque<Job> waiting;
  bool working = false;  // There is a thread.
};

SessionMaker::SessionMaker(net::Loop* loop) : state_(std::make_shared<State>()) { state_->loop = loop; }

SessionMaker::~SessionMaker() {
  state_->open = false;
  std::deque<State::Job> dropped;
  std::unique_lock lock(state_->mutex);
  state_->loop = nullptr;
  dropped.swap(state_->waiting);
  // OpenSSL must not be at work when the process cleans up after itself.
  state_->ended.wait_for(lock, kFarewell, [this] { return !state_->working; });
}

void SessionMaker::Make(std::shared_ptr<net::TlsContext> context, std::weak_ptr<const void> wanted,
                        Done done) {
  auto shared = std::make_shared<Done>(std::move(done));
  bool start = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() >= kWaitingMax) {
      state_->loop->Post([weak = std::weak_ptr<State>(state_), wanted = std::move(wanted), shared] {
        const std::shared_ptr<State> alive = weak.lock();
        if (alive == nullptr || !alive->open || wanted.expired()) return;
        (*shared)(ResourceExhausted("too many connections wait for the files of certificates"));
      });
      return;
    }
    state_->waiting.push_back({std::move(context), std::move(wanted), std::move(shared)});
    start = !std::exchange(state_->working, true);
  }
  if (start) std::thread(&State::Serve, state_).detach();
}

}  // namespace quorate::peer
