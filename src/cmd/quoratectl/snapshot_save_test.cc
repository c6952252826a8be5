#include "cmd/quoratectl/snapshot_save.h"

#include <gmock/gmock.h>
#include <openssl/evp.h>

#include <functional>
#include <string>
#include <vector>

#include "base/env_posix.h"
#include "base/env_sim.h"

namespace quorate::cmd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string WithDigest(const std::string& bytes) {
  std::string digest(32, '\0');
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return bytes + digest;
}

// The bytes of a snapshot in parts of 1,000; before each one `before` runs.
class Stream final : public client::SnapshotStream {
 public:
  explicit Stream(std::string bytes, std::function<Status(size_t part)> before = nullptr)
      : bytes_(std::move(bytes)), before_(std::move(before)) {}

  StatusOr<bool> Next(client::SnapshotResponse* part) override {
    if (before_) QUORATE_RETURN_IF_ERROR(before_(parts_++));
    if (sent_ == bytes_.size()) return false;
    part->set_blob(bytes_.substr(sent_, 1000));
    sent_ += part->blob().size();
    part->set_remaining_bytes(bytes_.size() - sent_);
    return true;
  }

 private:
  const std::string bytes_;
  const std::function<Status(size_t)> before_;
  size_t sent_ = 0;
  size_t parts_ = 0;
};

class SnapshotSaveTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(files_.CreateDirectories("/backups", 0700).ok()); }

  Status Save(Stream stream, const std::string& path = "/backups/file.db") {
    return SaveSnapshot(&files_, &random_, &stream, path, [](uint64_t, uint64_t) {});
  }
  std::string Content() { return files_.ReadAll("/backups/file.db").value_or(""); }

  SimFileSystem files_{1};
  SystemRandom random_;
  const std::string old_ = WithDigest(std::string(512, 'o'));
  const std::string new_ = WithDigest(std::string(8192, 'n'));
};

TEST_F(SnapshotSaveTest, ReplacesTheFileAndLeavesNothingBeside) {
  ASSERT_TRUE(Save(Stream(old_)).ok());
  EXPECT_EQ(Content(), old_);
  ASSERT_TRUE(Save(Stream(new_)).ok());
  EXPECT_EQ(Content(), new_);
  EXPECT_THAT(*files_.List("/backups"), ElementsAre("file.db"));
}

// Two jobs at one time: whichever ends last, the file is one of both, whole.
TEST_F(SnapshotSaveTest, TwoAtOnceToOneFile) {
  std::vector<Status> inner;
  const auto another = [&](size_t part) -> Status {
    if (part != 3) return absl::OkStatus();
    inner.push_back(Save(Stream(old_)));
    EXPECT_EQ(Content(), old_);
    return absl::OkStatus();
  };
  ASSERT_TRUE(Save(Stream(new_, another)).ok());
  EXPECT_THAT(inner, ElementsAre(absl::OkStatus()));
  EXPECT_EQ(Content(), new_);
  EXPECT_THAT(*files_.List("/backups"), ElementsAre("file.db"));
}

TEST_F(SnapshotSaveTest, LeavesTheFileAndOthersPartsOnFailure) {
  ASSERT_TRUE(Save(Stream(old_)).ok());
  ASSERT_TRUE(files_.WriteAtomically("/backups/file.db.part", "another's", 0600).ok());
  const auto ends = [](size_t part) { return part == 2 ? Unavailable("gone") : absl::OkStatus(); };
  EXPECT_EQ(Save(Stream(new_, ends)), Unavailable("gone"));
  files_.set_capacity_bytes(files_.used_bytes() + 4096);
  EXPECT_TRUE(absl::IsResourceExhausted(Save(Stream(new_))));
  files_.set_capacity_bytes(1 << 20);
  std::string damaged = new_;
  damaged[5000] ^= 1;
  EXPECT_THAT(Save(Stream(damaged)).ToString(), HasSubstr("does not match the sha256 checksum sent with it"));
  EXPECT_THAT(Save(Stream(new_.substr(0, 4000))).ToString(), HasSubstr("sha256 checksum not found"));
  EXPECT_EQ(Content(), old_);
  EXPECT_THAT(*files_.List("/backups"), ElementsAre("file.db", "file.db.part"));
}

TEST_F(SnapshotSaveTest, ReadsBackWhatWasWritten) {
  ASSERT_TRUE(Save(Stream(old_)).ok());
  files_.set_before_operation([&](SimOperation operation, const std::string& path) -> Status {
    if (operation != SimOperation::kSync || !path.ends_with(".part")) return absl::OkStatus();
    files_.set_before_operation(nullptr);
    return files_.FlipBit(path, 6000, 3);
  });
  EXPECT_THAT(Save(Stream(new_)).ToString(), HasSubstr("reads back as something else"));
  EXPECT_EQ(Content(), old_);
  EXPECT_THAT(*files_.List("/backups"), ElementsAre("file.db"));
}

TEST_F(SnapshotSaveTest, NamesWhatItCannotOpen) {
  EXPECT_THAT(Save(Stream(new_), "/nosuch/file.db").ToString(), HasSubstr("could not open /nosuch/file.db."));
}

}  // namespace
}  // namespace quorate::cmd
