// A member whose log went back in time: what counts as proof, and what doesn't. Pure functions over plain
// facts; lost_log_guard.h puts them to work. Source of each rule: etcd's raft sends what is stored, so
// whatever another member can show of us beyond our own disk is something that our disk has lost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "raft/types.h"

namespace quorate::server {

// --lost-log-action: what a quarantined member does.
enum class LostLogAction : uint8_t {
  kStay,    // Goes on running, answers every request with one error.
  kExit,    // Ends with kLostLogExitCode.
  kRejoin,  // Carries out the way out by itself (rejoin.h).
};

// Of a process that ends because of --lost-log-action=exit. No other end has it.
constexpr int kLostLogExitCode = 79;

struct LostLogOptions {
  LostLogAction action = LostLogAction::kStay;
  // A member on probation waits for a leader however long it takes.
  bool strict_probation = false;
  // A directory that does not survive a boot of the machine; empty: there is none, and every restart begins
  // on probation.
  std::string run_dir;
  // Names this boot of the kernel; empty: unknown, as without run_dir.
  std::string boot_id;
};

// How far a member's log and votes go, as it says itself or as somebody remembers it. Its `index` is the last
// one that it acknowledged while its term was `term`: within one term nothing acknowledged is ever replaced.
struct LogPosition {
  raft::Term term = 0;
  raft::NodeId vote = raft::kNone;  // In `term`; kNone in a memory: not known.
  raft::Index index = 0;            // 0 in a memory: not known.

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// What a member's own disk says at its start.
struct DiskFacts {
  raft::HardState hard_state;
  raft::Index last_index = 0;
  raft::Index database_index = 0;  // Consistent index of the db.
  raft::Index snapshot_index = 0;  // Of the newest .snap file.

  LogPosition position() const { return {hard_state.term, hard_state.vote, last_index}; }
};

// Each returns the proof in words, for the log and the operator, or nullopt.

// The disk against itself: db, snapshot or commit index beyond the end of the log.
std::optional<std::string> ContradictionOnDisk(const DiskFacts& facts);
// `remembered` by `who` ("member 8e9e...") against what the disk holds now.
std::optional<std::string> ContradictedByMemory(const LogPosition& disk, const LogPosition& remembered,
                                                std::string_view who);
// A message from another member. `nothing_lost`: there is no earlier process, or this one has found the disk
// as that left it, so that answers can't show what is lost; another member may have been made to send them.
// `start_term`: as stored when this process began. `campaigned`: this process has begun an election since, so
// answers to it are no proof any more. `term`, `last_index`: now.
struct MessageContext {
  bool nothing_lost = false;
  raft::Term start_term = 0;
  bool campaigned = false;
  raft::Term term = 0;
  raft::Index last_index = 0;
};
std::optional<std::string> ContradictedByMessage(const MessageContext& context, const raft::Message& message);
// The log is empty, and the cluster knows this ID under a name, which only a member with a log publishes.
std::string WipedDirectory(std::string_view published_name);

}  // namespace quorate::server
