// What every FileSystem keeps to, asked of the real one and the simulated one alike; then a comparison of
// both on random work.
#include "base/env.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>

#include "base/env_posix.h"
#include "base/env_sim.h"
#include "base/test_seed.h"

namespace quorate {
namespace {

using absl::StatusCode;

constexpr OpenOptions kCreate{.write = true, .create = true};

class FileSystemTest : public testing::TestWithParam<bool> {
 public:
  FileSystemTest() {
    if (GetParam()) {
      files_ = std::make_unique<SimFileSystem>(1);
      root_ = "/sim";
      EXPECT_TRUE(files_->CreateDirectories(root_, 0700).ok());
    } else {
      files_ = std::make_unique<PosixFileSystem>();
      std::string directory = testing::TempDir() + "/envXXXXXX";
      EXPECT_NE(::mkdtemp(directory.data()), nullptr);
      root_ = directory;
    }
  }
  ~FileSystemTest() override {
    if (!GetParam()) std::filesystem::remove_all(root_);
  }

 protected:
  std::string At(const std::string& name) const { return root_ + "/" + name; }

  std::unique_ptr<FileSystem> files_;
  std::string root_;
};

TEST_P(FileSystemTest, ErrorsNameThePathAndTheCause) {
  auto missing = files_->Open(At("missing"), {});
  EXPECT_EQ(missing.status().code(), StatusCode::kNotFound);
  EXPECT_NE(Message(missing.status()).find(At("missing")), std::string_view::npos);
  EXPECT_NE(Message(missing.status()).find("No such file or directory"), std::string_view::npos);
  ASSERT_TRUE(files_->Open(At("f"), kCreate).ok());
  OpenOptions exclusive = kCreate;
  exclusive.exclusive = true;
  EXPECT_EQ(files_->Open(At("f"), exclusive).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(files_->Open(At("no/f"), kCreate).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->Remove(At("missing")).code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->Rename(At("missing"), At("g")).code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->List(At("missing")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->Stat(At("missing")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->SyncDirectory(At("missing")).code(), StatusCode::kNotFound);
  EXPECT_EQ(files_->CreateDirectories(At("f"), 0700).code(), StatusCode::kAlreadyExists);
  EXPECT_FALSE(files_->CreateDirectories(At("f/d"), 0700).ok());
}

TEST_P(FileSystemTest, ReadsWhatWasWritten) {
  auto file = files_->Open(At("f"), kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(10, "hello").ok());
  char out[32];
  EXPECT_EQ(*(*file)->ReadAt(0, out, sizeof out), 15u);
  EXPECT_EQ(std::string(out, 15), std::string(10, '\0') + "hello");
  EXPECT_EQ(*(*file)->ReadAt(15, out, sizeof out), 0u);
  EXPECT_EQ(*(*file)->ReadAt(1000, out, sizeof out), 0u);
  EXPECT_TRUE((*file)->Truncate(12).ok());
  EXPECT_TRUE((*file)->Allocate(20).ok());
  EXPECT_TRUE((*file)->Allocate(5).ok());
  EXPECT_TRUE((*file)->Sync().ok());
  EXPECT_EQ(*(*file)->Size(), 20u);
  EXPECT_EQ(*files_->ReadAll(At("f")), std::string(10, '\0') + "he" + std::string(8, '\0'));
  auto reader = files_->Open(At("f"), {});
  EXPECT_FALSE((*reader)->WriteAt(0, "x").ok());
  OpenOptions truncate = kCreate;
  truncate.truncate = true;
  ASSERT_TRUE(files_->Open(At("f"), truncate).ok());
  EXPECT_EQ(*(*file)->Size(), 0u);
}

TEST_P(FileSystemTest, MappingsShowLaterWrites) {
  auto file = files_->Open(At("f"), kCreate);
  ASSERT_TRUE((*file)->WriteAt(0, "before").ok());
  auto mapping = (*file)->Map(1 << 20);
  ASSERT_TRUE(mapping.ok());
  EXPECT_EQ((*mapping)->size(), size_t{1 << 20});
  EXPECT_EQ(std::string((*mapping)->data(), 6), "before");
  ASSERT_TRUE((*file)->WriteAt(0, "after ").ok());
  ASSERT_TRUE((*file)->WriteAt(300'000, "far").ok());
  EXPECT_EQ(std::string((*mapping)->data(), 6), "after ");
  EXPECT_EQ(std::string((*mapping)->data() + 299'999, 4), std::string("\0far", 4));
  EXPECT_TRUE((*mapping)->Resident(0, 6));
  EXPECT_TRUE((*mapping)->Resident(0, 0));
  EXPECT_TRUE((*mapping)->Resident(299'999, 4));
  EXPECT_EQ((*file)->Map(0).status().code(), StatusCode::kInvalidArgument);
}

TEST_P(FileSystemTest, LocksExclude) {
  const struct {
    LockKind held;
    LockKind tried;
    bool ok;
  } cases[] = {
      {LockKind::kFlock, LockKind::kFlock, false},
      {LockKind::kFlock, LockKind::kFlockShared, false},
      {LockKind::kFlockShared, LockKind::kFlock, false},
      {LockKind::kFlockShared, LockKind::kFlockShared, true},
      {LockKind::kOpenFileDescription, LockKind::kOpenFileDescription, false},
      {LockKind::kOpenFileDescription, LockKind::kNone, true},
  };
  for (const auto& c : cases) {
    OpenOptions first = kCreate;
    first.lock = c.held;
    OpenOptions second = kCreate;
    second.lock = c.tried;
    {
      auto held = files_->Open(At("lock"), first);
      ASSERT_TRUE(held.ok()) << held.status().ToString();
      auto tried = files_->Open(At("lock"), second);
      EXPECT_EQ(tried.ok(), c.ok);
      if (!c.ok) {
        EXPECT_EQ(tried.status().code(), StatusCode::kFailedPrecondition);
      }
    }
    EXPECT_TRUE(files_->Open(At("lock"), second).ok());
  }
}

TEST_P(FileSystemTest, DirectoriesAndNames) {
  ASSERT_TRUE(files_->CreateDirectories(At("a/b/c"), 0700).ok());
  ASSERT_TRUE(files_->CreateDirectories(At("a/b/"), 0700).ok());
  EXPECT_TRUE(files_->Stat(At("a/b"))->directory);
  ASSERT_TRUE(files_->Open(At("a/z"), kCreate).ok());
  ASSERT_TRUE(files_->Open(At("a/A"), kCreate).ok());
  EXPECT_EQ(*files_->List(At("a")), (std::vector<std::string>{"A", "b", "z"}));
  EXPECT_FALSE(files_->Remove(At("a/b")).ok());  // Not empty.
  EXPECT_TRUE(files_->Remove(At("a/b/c")).ok());
  EXPECT_TRUE(files_->Rename(At("a/z"), At("a/A")).ok());
  EXPECT_TRUE(files_->Rename(At("a/b"), At("d")).ok());
  EXPECT_EQ(*files_->List(root_), (std::vector<std::string>{"a", "d"}));
  EXPECT_FALSE(files_->Rename(At("a"), At("a/inside")).ok());
  EXPECT_TRUE(files_->RemoveAll(At("a")).ok());
  EXPECT_TRUE(files_->RemoveAll(At("a")).ok());
  EXPECT_FALSE(files_->Exists(At("a/A")));
  EXPECT_FALSE(files_->Exists(At("a")));
  EXPECT_TRUE(files_->SyncDirectory(root_).ok());
}

TEST_P(FileSystemTest, WriteAtomicallyReplaces) {
  ASSERT_TRUE(files_->WriteAtomically(At("f"), "one", 0640).ok());
  ASSERT_TRUE(files_->WriteAtomically(At("f"), "two, longer", 0640).ok());
  EXPECT_EQ(*files_->ReadAll(At("f")), "two, longer");
  EXPECT_EQ(*files_->List(root_), std::vector<std::string>{"f"});
  EXPECT_EQ(files_->Stat(At("f"))->mode, 0640u);
  EXPECT_EQ(files_->WriteAtomically(At("no/f"), "x", 0600).code(), StatusCode::kNotFound);
}

// The dumb model: path -> bytes.
TEST_P(FileSystemTest, RandomWorkAgainstAMap) {
  const uint64_t seed = TestSeed(3);
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  std::map<std::string, std::string> model;
  for (int i = 0; i < 1500; ++i) {
    const std::string name = "f" + std::to_string(random.Below(4));
    const bool exists = model.contains(name);
    switch (random.Below(6)) {
      case 0:
      case 1: {
        auto file = files_->Open(At(name), kCreate);
        ASSERT_TRUE(file.ok());
        const uint64_t offset = random.Below(20'000);
        const std::string data(random.Below(9000), static_cast<char>('a' + random.Below(26)));
        ASSERT_TRUE((*file)->WriteAt(offset, data).ok());
        std::string& bytes = model[name];
        if (!data.empty() && bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
        if (!data.empty()) bytes.replace(offset, data.size(), data);
        break;
      }
      case 2: {
        auto file = files_->Open(At(name), {.write = true});
        ASSERT_EQ(file.ok(), exists);
        if (!exists) break;
        const uint64_t size = random.Below(30'000);
        ASSERT_TRUE((*file)->Truncate(size).ok());
        model[name].resize(size);
        break;
      }
      case 3: {
        const std::string to = "f" + std::to_string(random.Below(4));
        ASSERT_EQ(files_->Rename(At(name), At(to)).ok(), exists);
        if (exists && to != name) {
          model[to] = model[name];
          model.erase(name);
        }
        break;
      }
      case 4:
        if (random.Below(4) == 0) {
          ASSERT_EQ(files_->Remove(At(name)).ok(), exists);
          model.erase(name);
        }
        break;
      case 5: {
        auto text = files_->ReadAll(At(name));
        ASSERT_EQ(text.ok(), exists);
        if (exists) {
          ASSERT_EQ(*text, model[name]);
        }
        break;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Posix, FileSystemTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Sim, FileSystemTest, testing::Values(true));

TEST(EnvPosix, ErrnoBecomesACode) {
  const struct {
    int error;
    StatusCode code;
  } cases[] = {{ENOENT, StatusCode::kNotFound},           {EEXIST, StatusCode::kAlreadyExists},
               {ENOSPC, StatusCode::kResourceExhausted},  {EIO, StatusCode::kDataLoss},
               {EACCES, StatusCode::kPermissionDenied},   {EROFS, StatusCode::kPermissionDenied},
               {EAGAIN, StatusCode::kFailedPrecondition}, {EMFILE, StatusCode::kInternal}};
  for (const auto& c : cases) EXPECT_EQ(ErrnoStatus(c.error, "read", "/p").code(), c.code);
  EXPECT_EQ(Message(ErrnoStatus(ENOSPC, "write", "/p")), "write /p: No space left on device");
}

TEST(EnvPosix, ClockAndRandom) {
  SystemClock clock;
  const int64_t first = clock.MonotonicNanos();
  EXPECT_GE(clock.MonotonicNanos(), first);
  EXPECT_GT(clock.WallNanos(), int64_t{1'600'000'000} * 1'000'000'000);
  SystemRandom a;
  SystemRandom b;
  EXPECT_NE(a.Next(), b.Next());
  EXPECT_LT(a.Below(10), 10u);
}

TEST(PosixFileSystem, AFailedSyncIsTold) {
  PosixFileSystem files;
  std::vector<std::string> failed;
  files.set_on_failed_sync([&](const std::string& path) { failed.push_back(path); });
  // A device that can't be synced.
  const auto file = files.Open("/dev/null", {.write = true});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE((*file)->Sync().ok());
  EXPECT_EQ(failed, std::vector<std::string>{"/dev/null"});
}

}  // namespace
}  // namespace quorate
