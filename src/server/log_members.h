// Who is a member by what a log says, committed or not: asked at the start, before there is a state. Pure
// functions. DataLoss when a change of the members can't be decoded.
#pragma once

#include <cstdint>
#include <set>

#include "base/status.h"
#include "raft/types.h"
#include "wal/log_reader.h"

namespace quorate::server {

struct LogMembers {
  std::set<uint64_t> voters;
  std::set<uint64_t> learners;

  size_t size() const { return voters.size() + learners.size(); }
};

// As they are at the end of the log. `snapshot`: where it begins; null: at the very first entry.
StatusOr<LogMembers> MembersAtEnd(const raft::Snapshot* snapshot, const wal::LogContents& log);

// Whether nobody else is, or was lately, of its cluster; so for a log without any member.
StatusOr<bool> IsAlone(const raft::Snapshot* snapshot, const wal::LogContents& log);

// Whether an entry up to `committed` removes the member whose log it is. A removed ID never comes back.
StatusOr<bool> WasRemoved(const wal::LogContents& log, raft::Index committed);

// Of the log's last entry, or of the snapshot when there is none behind it.
raft::Index LastIndex(const raft::Snapshot* snapshot, const wal::LogContents& log);

}  // namespace quorate::server
