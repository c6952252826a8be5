// How a procedure sees the cluster and speaks to who runs it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cmd/procedures/cluster_state.h"
#include "cmd/procedures/state_reader.h"
#include "cmd/session/session.h"

namespace quorate::cmd {

// One thread, one command. `session` must outlive it.
class ClusterAccess {
 public:
  explicit ClusterAccess(CtlSession* session) : session_(*session) {}

  // Connects. Nothing when all is well, else it has said why and returns the exit code.
  std::optional<int> Open(bool with_metrics);

  client::Client& client() { return *client_; }
  CtlSession& session() { return session_; }
  client::CallOptions Call() const { return session_.Call(); }
  client::CallOptions CallAt(const MemberState& member) const;

  StatusOr<ClusterState> Read() { return reader_->Read(); }
  // For what must not err: while a voter does not serve it looks again, three times in all, a second apart;
  // only what was `down` each time counts as that.
  StatusOr<ClusterState> ReadWithCare();
  // Requests to the cluster are no longer sent to this member, if there is another one.
  void Avoid(uint64_t member) { reader_->Avoid(member); }

  // Reads until `done` says true of what it sees, again and again; DeadlineExceeded with `what` after
  // `limit`. What keeps it waiting (`why`) is told on stderr whenever it changes.
  Status WaitUntil(std::string_view what, std::chrono::nanoseconds limit,
                   const std::function<bool(const ClusterState&, std::string* why)>& done);
  // Whether this user may do all that a procedure does. To be asked before anything is done: one that is
  // refused in the middle leaves a cluster half changed.
  Status CheckMayAdminister();
  // Moves leadership from this member to the best of the others, and waits until one of them leads.
  Status HandOver(const ClusterState& state, uint64_t leader, std::chrono::nanoseconds limit);
  // Makes `attempt` until it succeeds or is refused for good: a refusal that passes by itself (members were
  // not connected for long enough, a learner has not caught up, an election) is told on stderr and waited
  // out. The last error after `limit`.
  Status Insist(std::string_view what, std::chrono::nanoseconds limit,
                const std::function<Status()>& attempt);

 private:
  CtlSession& session_;
  client::Client* client_ = nullptr;  // The session's.
  std::unique_ptr<StateReader> reader_;
};

// A line on stdout, at once.
void Say(const std::string& line);

// Asks "QUESTION [y/N] " where stdin and stdout are a terminal. FailedPrecondition when the answer is not
// yes, or there is no terminal and `yes` is not set.
Status Confirm(const std::string& question, bool yes);

// The whole of `urls` with commas between.
std::string Joined(const std::vector<std::string>& urls);

}  // namespace quorate::cmd
