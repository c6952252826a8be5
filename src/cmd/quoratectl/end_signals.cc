#include "cmd/quoratectl/end_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "base/check.h"

namespace quorate::cmd {
namespace {

sigset_t EndSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

int SignalDescriptor() {
  const sigset_t set = EndSet();
  return signalfd(-1, &set, SFD_CLOEXEC);
}

}  // namespace

EndSignals::EndSignals() : done_(eventfd(0, EFD_CLOEXEC)), signals_(SignalDescriptor()) {
  QUORATE_CHECK(done_ >= 0);
  QUORATE_CHECK(signals_ >= 0);
  const sigset_t set = EndSet();
  pthread_sigmask(SIG_BLOCK, &set, &before_);
  thread_ = std::thread([this] { Wait(); });
}

EndSignals::~EndSignals() {
  eventfd_write(done_, 1);
  thread_.join();
  close(done_);
  close(signals_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void EndSignals::Wait() {
  pollfd waits[] = {{.fd = signals_, .events = POLLIN, .revents = 0},
                    {.fd = done_, .events = POLLIN, .revents = 0}};
  while (poll(waits, 2, -1) < 0) {
  }
  if ((waits[0].revents & POLLIN) == 0) return;
  signalfd_siginfo taken;
  if (read(signals_, &taken, sizeof taken) != sizeof taken) return;
  stop_.request_stop();
  // From now on this thread takes them, as if nobody had asked to hear of them.
  const sigset_t set = EndSet();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  while (poll(&waits[1], 1, -1) < 0) {
  }
}

bool WaitForEither(const std::stop_token& stop, const std::stop_token& lost) {
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;
  const auto end = [&] {
    const std::lock_guard lock(mutex);
    ended = true;
    changed.notify_all();
  };
  {
    const std::stop_callback on_stop(stop, end);
    const std::stop_callback on_lost(lost, end);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ended; });
  }
  return stop.stop_requested();
}

}  // namespace quorate::cmd
