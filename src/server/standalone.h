// --force-new-cluster: the log of a member that goes on alone, without the others. A pure function.
//
// Nothing that was acknowledged may go. A process that is killed leaves a commit index, in the log and in the
// database, that is older than what it, or the leader, has acknowledged: any entry of the log may be such a
// one. So all of them stay and count as committed, as they would under any new leader; an entry that never
// was committed has left its client without an answer. (etcd drops what lies beyond the commit index in the
// log: etcdserver, restartAsStandaloneNode.)
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"
#include "raft/types.h"
#include "wal/log_reader.h"

namespace quorate::server {

struct Standalone {
  // Of log->entries: from this one on they are to be written. The size when there is nothing to write.
  size_t first_new = 0;
  size_t removed_members = 0;
  // Entries that nobody can have acknowledged and that this member can't go on with are empty now: its own
  // removal, and what it can't decode.
  std::vector<raft::Index> emptied;
};

// Changes `log` so that the member is its only voter at its end, and all of it is committed. `committed`:
// what is known as that from elsewhere (database, snapshot). `peer_urls`: of the member, for a log that does
// not know it. The log's own member must not have been removed up to `committed`.
StatusOr<Standalone> MakeStandalone(const raft::Snapshot* snapshot, raft::Index committed,
                                    const std::vector<std::string>& peer_urls, wal::LogContents* log);

}  // namespace quorate::server
