#include "cmd/procedures/replacement_note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "cmd/procedures/made_cluster_test.h"

namespace quorate::cmd {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = 1'700'000'000;

// Of m3, whose ID was 3.
ReplacementNote Note(uint64_t new_id) {
  const MemberState old = Serving(3);
  return {.name = "m3",
          .old_id = 3,
          .new_id = new_id,
          .peer_urls = old.peer_urls,
          .client_urls = old.client_urls,
          .begun = kNow - 60};
}

// In the place of m3.
MemberState New(uint64_t id) {
  MemberState member = Serving(3);
  member.id = id;
  return member;
}

MemberState Learner(uint64_t id) {
  MemberState member = New(id);
  member.learner = true;
  return member;
}

MemberState Unstarted(uint64_t id) {
  MemberState member = Learner(id);
  member.name.clear();
  member.client_urls.clear();
  member.reachable = member.serving = false;
  return member;
}

TEST(ReplacementNoteTest, IsReadAsItWasWritten) {
  ReplacementNote note = Note(0xab);
  note.moved_aside = note.stopped = true;
  note.peer_urls.emplace_back("http://[::1]:2380");
  const auto read = ReplacementNote::FromNotes(note.ToNotes(), "path");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToNotes(), note.ToNotes());
  EXPECT_EQ(read->new_id, 0xabu);
  EXPECT_EQ(note.Describe(), "the replacement of m3 (3) that was begun at 2023-11-14T22:12:20Z");
  for (const char* name : {"name", "old-id", "peer-urls"}) {
    Notes less = note.ToNotes();
    less.erase(name);
    EXPECT_TRUE(absl::IsDataLoss(ReplacementNote::FromNotes(less, "path").status())) << name;
  }
  Notes wrong = note.ToNotes();
  wrong["old-id"] = "12x";
  EXPECT_TRUE(absl::IsDataLoss(ReplacementNote::FromNotes(wrong, "path").status()));
}

TEST(ReplacementNoteTest, IsFoundByNameAndIds) {
  const ReplacementNote note = Note(0xab);
  for (const char* text : {"m3", "3", "ab", "AB"}) EXPECT_TRUE(note.IsOf(text)) << text;
  for (const char* text : {"m4", "0", "", "abc"}) EXPECT_FALSE(note.IsOf(text)) << text;
  EXPECT_FALSE(Note(0).IsOf("0"));
}

TEST(JudgeTest, WhatHasBecomeOfIt) {
  struct Case {
    const char* name;
    std::function<void(ClusterState*, ReplacementNote*)> change;
    NoteVerdict verdict;
    const char* why;
  };
  const auto add = [](const MemberState& member) {
    return [member](ClusterState* s, ReplacementNote*) { s->members.push_back(member); };
  };
  const Case cases[] = {
      {"removed", [](ClusterState*, ReplacementNote*) {}, NoteVerdict::kGoesOn, ""},
      {"not removed", add(Serving(3)), NoteVerdict::kNothingDone, ""},
      {"added", add(Unstarted(7)), NoteVerdict::kGoesOn, ""},
      {"started", add(Learner(7)), NoteVerdict::kGoesOn, ""},
      {"added, and noted",
       [](ClusterState* s, ReplacementNote* n) {
         n->new_id = 7;
         s->members.push_back(Learner(7));
       },
       NoteVerdict::kGoesOn, ""},
      {"promoted",
       [](ClusterState* s, ReplacementNote* n) {
         n->new_id = 7;
         s->members.push_back(New(7));
       },
       NoteVerdict::kGoesOn, ""},
      {"promoted long ago",
       [](ClusterState* s, ReplacementNote* n) {
         n->new_id = 7;
         n->begun = kNow - 2 * kNoteFreshSeconds;
         s->members.push_back(New(7));
       },
       NoteVerdict::kStale, "m3 (7) took its place long ago"},
      {"promoted, and broken again",
       [](ClusterState* s, ReplacementNote* n) {
         n->new_id = 7;
         s->members.push_back(New(7));
         s->members.back().quarantined = true;
       },
       NoteVerdict::kStale, "m3 (7) took its place, and is broken itself"},
      {"finished by hand", add(New(7)), NoteVerdict::kStale, "by somebody else's doing"},
      {"added by hand after another",
       [](ClusterState* s, ReplacementNote* n) {
         n->new_id = 7;
         s->members.push_back(Learner(8));
       },
       NoteVerdict::kStale, "m3 (8) was added at its URLs since"},
      {"the new one removed again", [](ClusterState*, ReplacementNote* n) { n->new_id = 7; },
       NoteVerdict::kGoesOn, ""},
      {"moved to another host",
       [](ClusterState* s, ReplacementNote*) {
         s->members.push_back(Serving(9));
         s->members.back().name = "m3";
       },
       NoteVerdict::kStale, "m3 (9) has its name, at other peer URLs"},
  };
  for (const Case& c : cases) {
    ClusterState state = Cluster({Serving(1), Serving(2)});
    ReplacementNote note = Note(0);
    c.change(&state, &note);
    const NoteJudgement judgement = Judge(note, state, kNow);
    EXPECT_EQ(judgement.verdict, c.verdict) << c.name;
    EXPECT_THAT(judgement.why, HasSubstr(c.why)) << c.name;
  }
}

TEST(SuccessorTest, ByNotedIdOrUrlsInAnyOrder) {
  ClusterState state = Cluster({Serving(1), Serving(2)});
  ReplacementNote note = Note(0);
  EXPECT_EQ(Successor(note, state), nullptr);
  state.members.push_back(Unstarted(7));
  state.members.back().peer_urls = {"http://b:1", "http://a:1"};
  EXPECT_EQ(Successor(note, state), nullptr);
  note.peer_urls = {"http://a:1", "http://b:1"};
  EXPECT_EQ(Successor(note, state)->id, 7u);
  note = Note(7);
  EXPECT_EQ(Successor(note, state)->id, 7u);
}

}  // namespace
}  // namespace quorate::cmd
