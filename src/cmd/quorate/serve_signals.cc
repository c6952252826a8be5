#include "cmd/quorate/serve_signals.h"

#include <pthread.h>

#include <utility>

namespace quorate::cmd {

SignalWaiter::SignalWaiter() : wake_(SIGRTMIN) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
  sigset_t blocked = signals_;
  sigaddset(&blocked, wake_);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

SignalWaiter::~SignalWaiter() { Stop(); }

void SignalWaiter::Start(std::function<void(int)> on_signal) {
  thread_ = std::thread([this, on_signal = std::move(on_signal)] {
    sigset_t awaited = signals_;
    sigaddset(&awaited, wake_);
    int signal = 0;
    if (sigwait(&awaited, &signal) != 0 || signal == wake_) return;
    taken_ = signal;
    on_signal(signal);
  });
}

// A thread's own signals go first: where the wake-up comes together with one from outside, that one is left.
int SignalWaiter::Stop() {
  if (thread_.joinable()) {
    pthread_kill(thread_.native_handle(), wake_);
    thread_.join();
  }
  return taken_;
}

void SignalWaiter::Unblock() { pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr); }

}  // namespace quorate::cmd
