#include "base/wipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace quorate {
namespace {

TEST(WipeTest, TheBytesAreOverwritten) {
  std::string text = "a password that does not lie within the string";
  const char* const bytes = text.data();
  const size_t size = text.size();
  Wipe(&text);
  EXPECT_TRUE(text.empty());
  EXPECT_TRUE(std::all_of(bytes, bytes + size, [](char c) { return c == '\0'; }));
}

// The undefined behaviour sanitizer sees an address that is none.
TEST(WipeTest, OfNothingNothingIsOverwritten) {
  std::string text = "kept";
  Wipe(nullptr, 0);
  Wipe(text.data(), 0);
  EXPECT_EQ(text, "kept");
  const Secret none;
  EXPECT_TRUE(none.view().empty());
}

TEST(WipeTest, ShortTextsAreMovedWithoutACopy) {
  std::string text;
  AppendWiping(&text, "short");
  const auto* const within = reinterpret_cast<const char*>(&text);
  EXPECT_TRUE(text.data() < within || text.data() >= within + sizeof text);
  const char* const bytes = text.data();
  const std::string moved = std::move(text);
  EXPECT_EQ(moved.data(), bytes);
}

TEST(WipeTest, AppendingKeepsTheText) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 500; ++i) {
    const std::string piece(static_cast<size_t>(i % 7), static_cast<char>('a' + i % 26));
    AppendWiping(&text, piece);
    expected += piece;
    ASSERT_EQ(text, expected);
  }
}

// An allocation is looked at after it was given back, so the memory must be the test's own.
TEST(WipeTest, ASecretOverwritesItself) {
  alignas(Secret) char place[sizeof(Secret)] = {};
  auto* const secret = new (place) Secret("geheim");
  EXPECT_EQ(secret->view(), "geheim");
  secret->~Secret();
  EXPECT_EQ(std::string_view(place, sizeof place).find("geheim"), std::string_view::npos);
}

TEST(WipeTest, TheAllocatorServesContainers) {
  std::vector<std::string, WipingAllocator<std::string>> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(std::to_string(i));
  EXPECT_EQ(texts.back(), "99");
  std::basic_string<char, std::char_traits<char>, WipingAllocator<char>> text("a text");
  text.append(1000, 'x');
  EXPECT_EQ(text.size(), 1006U);
}

}  // namespace
}  // namespace quorate
