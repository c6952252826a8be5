#include "auth/permission_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "base/test_seed.h"

namespace quorate::auth {
namespace {

// Permissions are told apart by their types here: their numbers.
Permission Numbered(const std::string& key, int number) {
  return {static_cast<PermissionType>(number), key, ""};
}

std::vector<int> Numbers(const std::vector<Permission>& permissions) {
  std::vector<int> numbers;
  for (const Permission& p : permissions) numbers.push_back(static_cast<int>(p.type));
  return numbers;
}

// What etcd 3.4.23 (built with Go 1.19.8) answered to RoleGet after it had granted permissions 0, 1, 2 and so
// on, each with a range end of its own.
TEST(PermissionOrder, AsEtcdKeepsThem) {
  const struct {
    int count;
    std::string letters;
    std::function<int(int)> letter;
    std::vector<int> order;
  } roles[] = {
      {13, "abcde", [](int n) { return n * 7; }, {0, 5, 10, 3, 8, 1, 6, 11, 4, 9, 2, 7, 12}},
      {30, "abcde", [](int n) { return n * 7; }, {0, 5,  10, 15, 20, 25, 3, 8,  13, 18, 23, 28, 16, 21, 6,
                                                  1, 26, 11, 19, 24, 9,  4, 14, 29, 2,  7,  12, 17, 22, 27}},
      {60, "abc", [](int n) { return n * n * 11 / 7; }, {0,  2,  5,  16, 19, 21, 23, 26, 37, 40, 42, 44,
                                                         47, 58, 33, 13, 4,  22, 12, 25, 9,  8,  1,  29,
                                                         32, 10, 34, 11, 38, 17, 41, 20, 43, 31, 46, 30,
                                                         50, 51, 52, 53, 54, 55, 59, 7,  36, 6,  27, 39,
                                                         18, 35, 14, 15, 3,  45, 24, 28, 48, 49, 56, 57}},
      {80,
       "abcdefghij",
       [](int n) { return n * 13; },
       {40, 0,  20, 30, 10, 50, 60, 70, 37, 27, 7,  17, 47, 57, 67, 77, 44, 4,  14, 34,
        24, 54, 64, 74, 11, 1,  41, 31, 21, 51, 61, 71, 38, 18, 28, 8,  48, 58, 68, 78,
        15, 45, 5,  35, 25, 55, 65, 75, 42, 22, 12, 2,  32, 52, 62, 72, 9,  29, 19, 39,
        49, 59, 69, 79, 6,  36, 16, 26, 46, 56, 66, 76, 3,  13, 23, 33, 43, 53, 63, 73}},
  };
  for (const auto& role : roles) {
    std::vector<Permission> permissions;
    for (int n = 0; n < role.count; ++n) {
      const auto letter = static_cast<size_t>(role.letter(n)) % role.letters.size();
      permissions.push_back(Numbered(role.letters.substr(letter, 1), n));
      SortPermissions(&permissions);
    }
    EXPECT_EQ(Numbers(permissions), role.order) << role.count;
  }
}

// Whole lists at once, of every shape: the order is that of the keys, and nothing is lost.
TEST(PermissionOrder, RandomListsAreSorted) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    const size_t count = random() % 300;
    const uint64_t different = 1 + random() % 50;
    std::vector<Permission> permissions;
    for (size_t n = 0; n < count; ++n) {
      const uint64_t value = round % 3 == 0 ? random() % different : round % 3 == 1 ? n : count - n;
      permissions.push_back(
          Numbered(std::string(1, static_cast<char>(value % 200 + 1)), static_cast<int>(n)));
    }
    std::vector<Permission> expected = permissions;
    SortPermissions(&permissions);
    ASSERT_TRUE(std::is_sorted(permissions.begin(), permissions.end(),
                               [](const Permission& a, const Permission& b) { return a.key < b.key; }));
    const auto less = [](const Permission& a, const Permission& b) { return a.type < b.type; };
    std::sort(permissions.begin(), permissions.end(), less);
    ASSERT_EQ(permissions, expected);
    if (count > 12) continue;
    // Short lists are sorted by insertion: those of one key stay in their order.
    std::stable_sort(expected.begin(), expected.end(),
                     [](const Permission& a, const Permission& b) { return a.key < b.key; });
    SortPermissions(&permissions);
    ASSERT_EQ(permissions, expected);
  }
}

}  // namespace
}  // namespace quorate::auth
