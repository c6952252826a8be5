#include "cmd/procedures/replacement_note.h"

#include <algorithm>
#include <charconv>

#include "cmd/cli/go_syntax.h"
#include "cmd/procedures/cluster_access.h"
#include "cmd/procedures/safety.h"
#include "cmd/procedures/utc_text.h"
#include "cmd/session/answer.h"

namespace quorate::cmd {
namespace {

constexpr char kName[] = "name";
constexpr char kOldId[] = "old-id";
constexpr char kNewId[] = "new-id";
constexpr char kPeerUrls[] = "peer-urls";
constexpr char kClientUrls[] = "client-urls";
constexpr char kBegun[] = "begun";
constexpr char kStopped[] = "stopped";
constexpr char kMoved[] = "moved-aside";
constexpr char kYes[] = "yes";

// The whole text as a number; 0: it is none.
template <typename Number>
Number Parse(std::string_view text, int base) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number, base);
  return error == std::errc() && at == end ? number : 0;
}

bool SameUrls(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

const MemberState* AtUrls(const ReplacementNote& note, const ClusterState& state) {
  for (const MemberState& member : state.members) {
    if (member.id != note.old_id && SameUrls(member.peer_urls, note.peer_urls)) return &member;
  }
  return nullptr;
}

const MemberState* Named(const ReplacementNote& note, const ClusterState& state) {
  for (const MemberState& member : state.members) {
    if (member.name == note.name) return &member;
  }
  return nullptr;
}

NoteJudgement Stale(const MemberState& member, const std::string& why) {
  return {NoteVerdict::kStale, Label(member) + " " + why};
}

}  // namespace

Notes ReplacementNote::ToNotes() const {
  Notes notes = {{kName, name},
                 {kOldId, HexId(old_id)},
                 {kPeerUrls, Joined(peer_urls)},
                 {kClientUrls, Joined(client_urls)},
                 {kBegun, std::to_string(begun)}};
  if (new_id != 0) notes[kNewId] = HexId(new_id);
  if (stopped) notes[kStopped] = kYes;
  if (moved_aside) notes[kMoved] = kYes;
  return notes;
}

StatusOr<ReplacementNote> ReplacementNote::FromNotes(const Notes& notes, const std::string& path) {
  const auto text = [&](const char* name) {
    const auto at = notes.find(name);
    return at == notes.end() ? std::string() : at->second;
  };
  ReplacementNote note;
  note.name = text(kName);
  note.old_id = Parse<uint64_t>(text(kOldId), 16);
  note.new_id = Parse<uint64_t>(text(kNewId), 16);
  if (const std::string urls = text(kPeerUrls); !urls.empty()) note.peer_urls = SplitCommas(urls);
  if (const std::string urls = text(kClientUrls); !urls.empty()) note.client_urls = SplitCommas(urls);
  note.begun = Parse<int64_t>(text(kBegun), 10);
  note.stopped = text(kStopped) == kYes;
  note.moved_aside = text(kMoved) == kYes;
  if (note.name.empty() || note.old_id == 0 || note.peer_urls.empty()) {
    return DataLoss(path + " is damaged; look at it, and remove it to begin anew");
  }
  return note;
}

bool ReplacementNote::IsOf(std::string_view text) const {
  if (text == name) return true;
  const auto id = Parse<uint64_t>(text, 16);
  return id != 0 && (id == old_id || id == new_id);
}

std::string ReplacementNote::Describe() const {
  return "the replacement of " + name + " (" + HexId(old_id) + ") that was begun at " + UtcText(begun);
}

const MemberState* Successor(const ReplacementNote& note, const ClusterState& state) {
  if (const MemberState* const noted = state.Find(note.new_id); note.new_id != 0 && noted != nullptr)
    return noted;
  return AtUrls(note, state);
}

NoteJudgement Judge(const ReplacementNote& note, const ClusterState& state, int64_t now) {
  if (state.Find(note.old_id) != nullptr) return {NoteVerdict::kNothingDone, ""};
  const MemberState* const added = Successor(note, state);
  if (added == nullptr) {
    if (const MemberState* const named = Named(note, state); named != nullptr) {
      return Stale(*named, "has its name, at other peer URLs");
    }
    return {NoteVerdict::kGoesOn, ""};
  }
  if (note.new_id != 0 && added->id != note.new_id) {
    return Stale(*added, "was added at its URLs since, by somebody else");
  }
  if (!added->started() || added->learner) return {NoteVerdict::kGoesOn, ""};
  if (note.new_id == 0) return Stale(*added, "took its place since, by somebody else's doing");
  // Only what comes after the promotion may be missing.
  if (IsBroken(state, *added)) return Stale(*added, "took its place, and is broken itself by now");
  if (now - note.begun > kNoteFreshSeconds) return Stale(*added, "took its place long ago");
  return {NoteVerdict::kGoesOn, ""};
}

}  // namespace quorate::cmd
