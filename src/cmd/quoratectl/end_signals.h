// SIGINT and SIGTERM as a request to stop, so that what a command holds in the cluster is given back first.
#pragma once

#include <csignal>
#include <stop_token>
#include <thread>

namespace quorate::cmd {

// Make it before anything that starts threads: they inherit that the signals are blocked. The first signal
// asks to stop; a second one ends the program at once, as it would without this.
class EndSignals {
 public:
  EndSignals();
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  std::stop_token stop() const { return stop_.get_token(); }

 private:
  void Wait();

  sigset_t before_{};
  std::stop_source stop_;
  const int done_;  // An eventfd: the thread is to end.
  const int signals_;
  std::thread thread_;
};

// Blocks until either is requested; true: `stop` was.
bool WaitForEither(const std::stop_token& stop, const std::stop_token& lost);

}  // namespace quorate::cmd
