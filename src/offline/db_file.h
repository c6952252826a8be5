// Opening a db file that no server has open: a member's, or a snapshot that `snapshot save` wrote, whose
// SHA-256 digest of 32 bytes follows the pages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "bolt/check.h"
#include "bolt/db.h"
#include "offline/report.h"

namespace quorate::offline {

// Opens for reading under a shared lock, or for writing under an exclusive one. Errors name the file and the
// way out: missing, empty, no db file, cut off, locked (FailedPrecondition: a server has it open; try again,
// or stop it). Nothing is ever created.
StatusOr<std::unique_ptr<bolt::Db>> OpenDb(FileSystem* files, const std::string& path, bool write,
                                           uint64_t map_bytes = 0);

// Whether the error is that of a file that another process has locked.
bool IsLocked(const Status& status);

// Reads the file once from front to back, so that what follows finds it in memory; for the sake of `report`.
Status ReadAhead(FileSystem* files, const std::string& path, const ReportFn& report);

struct Digest {
  std::string stored;    // Empty when the file carries none.
  std::string computed;  // Of the bytes before it; empty when there is none to compare with.
  bool ok() const { return !stored.empty() && stored == computed; }
};
// Reads the whole file. (etcd: a size of 32 modulo 512 says that there is a digest.)
StatusOr<Digest> ReadDigest(FileSystem* files, const std::string& path, const ReportFn& report);

// Why the bytes of a file can't be a whole db file, in words that end in what to do: not a db file at all, or
// cut off. Nothing when they can.
std::optional<std::string> WhyNoDb(FileSystem* files, const std::string& path);

// Every page and key, and the buckets that etcd makes. The error is one line, with the text that etcd has for
// it.
Status CheckDb(const bolt::ReadTx& tx, const std::string& path, const ReportFn& report);
// The pages only.
bolt::CheckReport CheckPages(const bolt::ReadTx& tx, const ReportFn& report);

}  // namespace quorate::offline
