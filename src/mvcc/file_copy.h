// A copy of the db file that is made beside its changes, to take its place in the end.
//
// It is made in order of buckets and keys, a piece with each commit. A change before the position that was
// reached goes into the copy too, a change behind it comes along when the copy gets there: so after each step
// the copy holds exactly what the file holds before that position, and when the last piece is copied, it is
// the file. Nothing is remembered meanwhile and no old state is kept open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "bolt/db.h"
#include "mvcc/batch.h"
#include "mvcc/batch_writer.h"

namespace quorate::mvcc {

// One thread at a time: the jobs of Lane::kDb, and their owner between them. Discard may be called by both at
// once.
class FileCopy {
 public:
  // Makes no file yet.
  FileCopy(FileSystem* files, std::string path, std::string copy_path, const bolt::Options& options);

  // How far to copy on: at least and at most so many bytes; between the two until `enough` says so.
  struct Share {
    uint64_t bytes_min = 0;
    uint64_t bytes_max = 0;
    std::function<bool()> enough;
  };
  // After each commit: `from` is the state that it made from `batch`. Then copies on.
  Status Follow(const bolt::ReadTx& from, const Batch& batch, bool write_term, const Share& share);
  const CopyPosition& position() const { return position_; }
  bool complete() const { return complete_; }

  // Renames the complete copy to the file's name and makes that durable. After an error replaced() tells
  // whether the copy has the name: what a crash leaves is unknown then.
  Status Switch();
  bool replaced() const { return replaced_; }
  const std::shared_ptr<bolt::Db>& db() const { return db_; }

  // Closes and removes a copy that is not wanted any more. When it returns, that is done.
  void Discard();

 private:
  Status CopyPiece(const bolt::ReadTx& from, bolt::WriteTx& tx, const Share& share);
  void Remove();

  FileSystem* const files_;
  const std::string path_;
  const std::string copy_path_;
  bolt::Options options_;
  std::shared_ptr<bolt::Db> db_;
  CopyPosition position_;
  bool complete_ = false;
  bool replaced_ = false;
  std::once_flag discarded_;
};

// Reads about so many bytes of what comes next, so that Follow finds them in memory. Any thread.
Status TouchAhead(const bolt::ReadTx& from, const CopyPosition& position, uint64_t bytes_max);

// The part before the random end of the name of a copy under way: PATH.tmp.
inline std::string CopyPrefix(const std::string& path) { return path + ".tmp."; }

}  // namespace quorate::mvcc
