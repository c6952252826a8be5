// What is noted of a replacement before the old member's removal hides it, and whether such a note still fits
// the cluster that is found later. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cmd/procedures/cluster_state.h"
#include "cmd/procedures/notebook.h"

namespace quorate::cmd {

struct ReplacementNote {
  std::string name;
  uint64_t old_id = 0;
  uint64_t new_id = 0;  // 0: not added yet, as far as is noted.
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  int64_t begun = 0;     // Unix seconds.
  bool stopped = false;  // The steps on the host that are done.
  bool moved_aside = false;

  Notes ToNotes() const;
  // DataLoss: something is missing. `path`: for the error.
  static StatusOr<ReplacementNote> FromNotes(const Notes& notes, const std::string& path);
  // Whether `text` is its name, or its old or new ID in hexadecimal.
  bool IsOf(std::string_view text) const;
  // "the replacement of m1 (ab) that was begun at 2026-01-02T03:04:05Z".
  std::string Describe() const;
};

// Beyond this age nobody may rely on a note without saying which member he means.
constexpr int64_t kNoteFreshSeconds = int64_t{24} * 3600;

enum class NoteVerdict {
  kNothingDone,  // The old member is still one: the note says nothing that the cluster doesn't.
  kGoesOn,       // The old member is removed, and the rest is yet to be done.
  kStale,        // Somebody has gone on in another way: what the note wants done would be wrong.
};

struct NoteJudgement {
  NoteVerdict verdict;
  std::string why;  // Of kStale.
};
NoteJudgement Judge(const ReplacementNote& note, const ClusterState& state, int64_t now);

// The member that has taken the place of the old one, by its noted ID or else by its URLs. Null: there is
// none.
const MemberState* Successor(const ReplacementNote& note, const ClusterState& state);

}  // namespace quorate::cmd
