#include "rpc/password_work.h"

#include <utility>

#include "rpc/peer_host.h"

namespace quorate::rpc {

bool PasswordWork::Submit(Job job) {
  const std::string host(HostOf(job.peer));
  const auto found = lines_.find(host);
  const size_t own = found == lines_.end() ? 0 : found->second.size;
  if (own >= (kWaitingMax - (waiting_ - own)) / 2) return false;
  if (own == 0) hosts_.push_back(host);
  Line& line = lines_[host];
  std::deque<Job>& jobs = line.jobs[job.peer];
  if (jobs.empty()) line.connections.push_back(job.peer);
  jobs.push_back(std::move(job));
  ++line.size;
  ++waiting_;
  BeginNext();
  return true;
}

PasswordWork::Job PasswordWork::TakeNext() {
  std::string host = std::move(hosts_.front());
  hosts_.pop_front();
  Line& line = lines_.at(host);
  std::string connection = std::move(line.connections.front());
  line.connections.pop_front();
  std::deque<Job>& jobs = line.jobs.at(connection);
  Job job = std::move(jobs.front());
  jobs.pop_front();
  --line.size;
  --waiting_;
  if (jobs.empty()) {
    line.jobs.erase(connection);
  } else {
    line.connections.push_back(std::move(connection));
  }
  if (line.size == 0) {
    lines_.erase(host);
  } else {
    hosts_.push_back(std::move(host));
  }
  return job;
}

void PasswordWork::BeginNext() {
  while (under_way_ < kAtOnceMax && waiting_ > 0) {
    Job job = TakeNext();
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
