// The files of a backup, and what is noted beside it.
//
//   backup-<UTC>-r<revision>-m<member>-c<cluster>.db     the db file, and its SHA-256 in the last 32 bytes,
//   as
//                                                        `snapshot save` writes it
//   the same with .json                                  what the member knew when the backup was taken
//   the same with .db.part, .json.part                   on its way, or left over
//
// Member and cluster are IDs in hex. A file named .db is whole: it was synced, read back and checked before
// it got this name; its .json is there before it. So several members, and clusters, may share a directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::backup {

constexpr std::string_view kBackupSuffix = ".db";
constexpr std::string_view kNoteSuffix = ".json";
constexpr std::string_view kPartSuffix = ".part";
// Of the SHA-256 behind the pages.
constexpr size_t kDigestBytes = 32;

struct BackupName {
  int64_t taken_unix_nanos = 0;  // To the millisecond.
  int64_t revision = 0;
  uint64_t member_id = 0;
  uint64_t cluster_id = 0;

  friend bool operator==(const BackupName&, const BackupName&) = default;
};

// Without a suffix.
std::string Stem(const BackupName& name);
// nullopt for a name that Stem does not give.
std::optional<BackupName> ParseStem(std::string_view stem);
// The stem of a name with this suffix; nullopt for other names.
std::optional<BackupName> ParseName(std::string_view file_name, std::string_view suffix);

struct BackupNote {
  BackupName name;
  uint64_t raft_index = 0;  // Of the last entry in it.
  uint64_t raft_term = 0;
  // CRC-32C of that entry's data, so that an archived log can show that it goes on from here; unknown after a
  // start, until the member has applied something.
  std::optional<uint32_t> entry_crc;
  int64_t compact_revision = -1;  // -1: never compacted.
  // HashKV at its revision, as the member gave it; unknown when the member could not say in time.
  std::optional<uint32_t> kv_hash;
  uint64_t size_bytes = 0;  // With the digest.
  std::string sha256;       // Of the pages, in hex.
};

// A JSON object, one line.
std::string EncodeNote(const BackupNote& note);
// DataLoss when it is none.
StatusOr<BackupNote> DecodeNote(std::string_view text);

}  // namespace quorate::backup
