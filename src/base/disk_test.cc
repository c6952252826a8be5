#include "base/disk.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/env_posix.h"
#include "base/env_sim.h"

namespace quorate {
namespace {

TEST(Disk, ASimulatedOneHasWhatIsLeft) {
  SimFileSystem files(1);
  EXPECT_EQ(*FreeBytes(&files, "/"), UINT64_MAX);
  files.set_capacity_bytes(1000);
  EXPECT_EQ(*FreeBytes(&files, "/"), 1000u);
  ASSERT_TRUE(files.WriteAtomically("/file", std::string(400, 'x'), 0600).ok());
  EXPECT_EQ(*FreeBytes(&files, "/file"), 600u);
  files.set_capacity_bytes(300);
  EXPECT_EQ(*FreeBytes(&files, "/"), 0u);
}

TEST(Disk, ARealOneIsAsked) {
  PosixFileSystem files;
  const std::string path = testing::TempDir() + "disk_test." + std::to_string(::getpid());
  ASSERT_TRUE(files.WriteAtomically(path, "bytes", 0600).ok());
  for (const std::string& at : {testing::TempDir(), path}) {
    const auto free = FreeBytes(&files, at);
    ASSERT_TRUE(free.ok()) << free.status();
    EXPECT_LT(*free, UINT64_MAX);
  }
  DropPageCache(&files, path);
  EXPECT_EQ(*files.ReadAll(path), "bytes");
  ASSERT_TRUE(files.Remove(path).ok());
  EXPECT_TRUE(absl::IsNotFound(FreeBytes(&files, path).status()));
  DropPageCache(&files, path);  // Nothing to do.
}

}  // namespace
}  // namespace quorate
