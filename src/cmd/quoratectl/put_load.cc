#include "cmd/quoratectl/put_load.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>

namespace quorate::cmd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kCatchUp{10};

// A number in front, as Go's binary.PutVarint writes it, and zeros.
std::string RandomKey(std::mt19937_64* random, size_t size) {
  std::string key;
  for (uint64_t rest = ((*random)() >> 1) << 1; key.size() < size; rest >>= 7) {
    key += static_cast<char>((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
    if (rest <= 0x7F) break;
  }
  key.resize(size, '\0');
  return key;
}

class Run {
 public:
  Run(const std::vector<client::Client*>& clients, const PutLoad& load, const ProgressFn& progress,
      const std::stop_token& stop)
      : clients_(clients), load_(load), progress_(progress), stop_(stop) {}

  PutLoadResult Do() {
    const std::string value(load_.value_bytes, '\0');
    while (!Ended()) {
      if (!WaitForPace()) break;
      Send(value);
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return in_flight_ == 0; });
    result_.total_seconds = std::chrono::duration<double>(Clock::now() - begun_).count();
    return std::move(result_);
  }

 private:
  bool Ended() const {
    if (stop_.stop_requested()) return true;
    if (load_.count > 0 && sent_ >= load_.count) return true;
    return load_.duration.count() > 0 && Clock::now() >= begun_ + load_.duration;
  }

  // Until the next Put is due and may be under way; false: it ends before.
  bool WaitForPace() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop_, [this] { return in_flight_ < load_.in_flight; })) return false;
    if (load_.per_second > 0) {
      // What sleeping too long has cost is made up for, but not a server that was slow.
      due_ = std::max(due_, Clock::now() - kCatchUp);
      if (load_.duration.count() > 0 && due_ >= begun_ + load_.duration) return false;
      changed_.wait_until(lock, stop_, due_, [] { return false; });
      due_ += std::chrono::nanoseconds(std::nano::den / load_.per_second);
    }
    ShowProgress();
    return !stop_.stop_requested();
  }

  void ShowProgress() {
    if (load_.duration.count() > 0) {
      const auto passed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begun_);
      progress_(static_cast<uint64_t>(passed.count()), static_cast<uint64_t>(load_.duration.count()));
    } else {
      progress_(sent_ - in_flight_, load_.count);
    }
  }

  void Send(const std::string& value) {
    {
      const std::lock_guard lock(mutex_);
      ++in_flight_;
    }
    client::Client* const client = clients_[sent_++ % clients_.size()];
    const auto begun = Clock::now();
    // What is slow is to be measured, not given up.
    client::CallOptions call;
    call.timeout = std::chrono::milliseconds(0);
    call.stop = stop_;
    client->kv().PutAsync(
        load_.prefix + RandomKey(&random_, load_.key_bytes), value, {}, call,
        [this, begun](const client::StatusOr<client::PutResponse>& answer) { Note(begun, answer.status()); });
  }

  void Note(Clock::time_point begun, const client::Status& status) {
    const std::chrono::duration<double> took = Clock::now() - begun;
    const std::lock_guard lock(mutex_);
    if (status.ok()) {
      result_.seconds.push_back(took.count());
    } else {
      ++result_.errors[std::string(client::Text(status))];
    }
    --in_flight_;
    changed_.notify_all();
  }

  const std::vector<client::Client*>& clients_;
  const PutLoad& load_;
  const ProgressFn& progress_;
  const std::stop_token stop_;
  const Clock::time_point begun_ = Clock::now();
  // The caller's thread only.
  std::mt19937_64 random_{std::random_device()()};
  Clock::time_point due_ = begun_;  // Of the next Put.
  uint64_t sent_ = 0;
  // Under mutex_: shared with the clients' threads.
  std::mutex mutex_;
  std::condition_variable_any changed_;
  size_t in_flight_ = 0;
  PutLoadResult result_;
};

}  // namespace

PutLoadResult RunPutLoad(const std::vector<client::Client*>& clients, const PutLoad& load,
                         const ProgressFn& progress, const std::stop_token& stop) {
  return Run(clients, load, progress, stop).Do();
}

}  // namespace quorate::cmd
