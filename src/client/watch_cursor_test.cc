#include "client/watch_cursor.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate::client {
namespace {

using etcdserverpb::WatchResponse;

WatchResponse Events(const std::vector<int64_t>& revisions, bool fragment = false) {
  WatchResponse response;
  response.set_fragment(fragment);
  for (const int64_t revision : revisions) response.add_events()->mutable_kv()->set_mod_revision(revision);
  if (!revisions.empty()) response.mutable_header()->set_revision(revisions.back());
  return response;
}

WatchResponse Progress(int64_t revision) {
  WatchResponse response;
  response.mutable_header()->set_revision(revision);
  return response;
}

std::vector<int64_t> Revisions(const std::optional<WatchResponse>& response) {
  std::vector<int64_t> revisions;
  if (!response) return revisions;
  for (const auto& event : response->events()) revisions.push_back(event.kv().mod_revision());
  return revisions;
}

using List = std::vector<int64_t>;

TEST(WatchCursorTest, AWatchOfWhatComesIsBoundWhenItIsTakenUp) {
  WatchCursor cursor(0);
  EXPECT_EQ(cursor.next(), 0);
  cursor.Created(7);
  EXPECT_EQ(cursor.next(), 8);
  cursor.Created(9);  // After a broken stream: 8 and 9 are still to come.
  EXPECT_EQ(cursor.next(), 8);
}

TEST(WatchCursorTest, GoesOnAfterTheLastRevisionGivenOut) {
  WatchCursor cursor(3);
  cursor.Created(10);
  EXPECT_EQ(Revisions(cursor.Take(Events({4, 4, 6}))), (List{4, 4, 6}));
  EXPECT_EQ(cursor.next(), 7);
}

TEST(WatchCursorTest, NothingTwice) {
  WatchCursor cursor(3);
  cursor.Take(Events({3, 5}));
  EXPECT_FALSE(cursor.Take(Events({3, 5})));
  EXPECT_EQ(Revisions(cursor.Take(Events({5, 6, 6}))), (List{6, 6}));
}

TEST(WatchCursorTest, FragmentsAreGivenOutTogetherOrNotAtAll) {
  WatchCursor cursor(1);
  EXPECT_FALSE(cursor.Take(Events({5, 5}, true)));
  EXPECT_FALSE(cursor.Take(Events({5}, true)));
  EXPECT_EQ(cursor.next(), 1);
  cursor.Interrupted();
  EXPECT_FALSE(cursor.Take(Events({5, 5, 5}, true)));
  const auto whole = cursor.Take(Events({6}));
  EXPECT_EQ(Revisions(whole), (List{5, 5, 5, 6}));
  EXPECT_FALSE(whole->fragment());
  EXPECT_EQ(cursor.next(), 7);
}

TEST(WatchCursorTest, ProgressMovesItForwardOnly) {
  WatchCursor cursor(1);
  EXPECT_TRUE(cursor.Take(Progress(20)));
  EXPECT_EQ(cursor.next(), 21);
  EXPECT_TRUE(cursor.Take(Progress(10)));
  EXPECT_EQ(cursor.next(), 21);
}

}  // namespace
}  // namespace quorate::client
