#include "rpc/password_work.h"

#include <utility>

namespace quorate::rpc {

bool PasswordWork::Submit(Job job) {
  if (waiting_.size() >= kWaitingMax) return false;
  waiting_.push_back(std::move(job));
  BeginNext();
  return true;
}

void PasswordWork::BeginNext() {
  while (under_way_ < kAtOnceMax && !waiting_.empty()) {
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    if (!job.wanted()) continue;
    ++under_way_;
    executor_.Submit(Lane::kRead, std::move(job.work),
                     [this, done = std::move(job.done), alive = std::weak_ptr(alive_)] {
                       if (alive.expired()) return;
                       --under_way_;
                       done();
                       BeginNext();
                     });
  }
}

}  // namespace quorate::rpc
