// SIGINT and SIGTERM, taken by a thread that waits for them.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

namespace quorate::cmd {

// Make it before anything that starts threads: they inherit that the signals are blocked. They stay blocked
// when it has gone, so that one that comes then is found by the next SignalWaiter.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  // `on_signal` is called for the first signal only, on the waiting thread.
  void Start(std::function<void(int)> on_signal);
  // No signal is taken any more, and on_signal does not run. The one that was taken, 0: none was. May be
  // called again.
  int Stop();
  // For the last one: what the process gets from now on ends it.
  void Unblock();

 private:
  sigset_t signals_{};
  const int wake_;  // A signal that nobody else sends.
  int taken_ = 0;   // The thread's until it is joined.
  std::thread thread_;
};

}  // namespace quorate::cmd
