#include "rpc/clean_path.h"

#include <gtest/gtest.h>

namespace quorate::rpc {
namespace {

// As Debian's etcd 3.4.23 redirects.
TEST(CleanPath, IsGos) {
  const struct {
    std::string path;
    std::string clean;
  } cases[] = {
      {"/", "/"},
      {"//", "/"},
      {"/version", "/version"},
      {"//version", "/version"},
      {"/v2/./members", "/v2/members"},
      {"/v2//members/", "/v2/members/"},
      {"/a/../version", "/version"},
      {"/../..", "/"},
      {"/a/b/..", "/a"},
      {"/a/b/../", "/a/"},
      {"/a/.", "/a"},
      {"/.well-known", "/.well-known"},
      {"/a..b/...", "/a..b/..."},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(CleanPath(c.path), c.clean) << c.path;
    EXPECT_EQ(IsCleanPath(c.path), c.path == c.clean) << c.path;
    EXPECT_TRUE(IsCleanPath(c.clean)) << c.path;
  }
}

TEST(CleanPath, IsWrittenAsAUrl) {
  EXPECT_EQ(EscapePath("/vers ion/?/"), "/vers%20ion/%3F/");
  EXPECT_EQ(EscapePath("/a-_.~$&+,:;=@9"), "/a-_.~$&+,:;=@9");
  EXPECT_EQ(EscapePath("/\r\n\"\xc3\xa9%"), "/%0D%0A%22%C3%A9%25");
  EXPECT_EQ(RedirectPage("/a?b&c<\"'>"),
            "<a href=\"/a?b&amp;c&lt;&#34;&#39;&gt;\">Moved Permanently</a>.\n\n");
}

}  // namespace
}  // namespace quorate::rpc
