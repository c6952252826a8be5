// A sync that has failed, and the start after it. The kernel reports a write that the disk refused once, and
// marks its pages as clean all the same (https://wiki.postgresql.org/wiki/Fsync_Errors): the next process
// reads from the page cache what the disk does not hold, appends to it, syncs that with success, acknowledges
// it, and the next loss of power takes it all away. The original lives with that.
//
// Here the first sync that fails leaves a mark where the next process of the same boot finds it, before
// anything else is done. With the mark a start first writes anew, byte for byte, what the lost writes may
// have been part of, and syncs it: then the disk holds what the cache shows. That is
//   - every segment of the log;
//   - the two meta pages of the database. All its other writes go to pages that no durable meta refers to,
//   and
//     are synced before a meta is written: after a failed sync of those the old meta is in force, and the
//     pages are written again before they count;
//   - what is remembered of other members, which is written in place, too.
// All other files are made beside their place and synced before they are renamed. A boot of the machine
// empties the page cache: a mark of another boot is void.
#pragma once

#include <atomic>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "server/lost_log.h"

namespace quorate::server {

// Where: in the run directory, which needs no disk and does not survive a boot; without one in the data
// directory, not synced, for the cache is all that has to hold it.
class SyncFailureMark {
 public:
  SyncFailureMark(FileSystem* files, const std::string& data_dir, const LostLogOptions& options);

  // On any thread; only the first call does anything. `path`: the file whose sync has failed. No error: there
  // is nobody to tell.
  void Set(const std::string& path);

  // The path in the mark; empty: no sync has failed in this boot of the machine.
  std::string Read() const;
  Status Clear() const;

 private:
  Status Write(const std::string& path);

  FileSystem* const files_;
  const std::string boot_id_;
  const std::string directory_;
  const std::string path_;
  std::atomic<bool> set_ = false;
};

struct UnsyncedFiles {
  std::string wal_dir;
  std::string database;
  std::string peer_memory;
};
// Where there is a mark writes them anew, what is missing is passed over, and clears the mark. The error
// names the file; FailedPrecondition when another process has one of them locked.
Status RepairAfterFailedSync(FileSystem* files, const SyncFailureMark& mark, const UnsyncedFiles& unsynced);

}  // namespace quorate::server
