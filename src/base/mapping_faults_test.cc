#include "base/mapping_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/env_posix.h"
#include "base/logging.h"

namespace quorate {
namespace {

// A file of 16 pages in a directory of its own, and a mapping of it.
class MappingFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string error;
    ASSERT_TRUE(log::Configure({}, &error)) << error;
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/a \"db\"";
    OpenOptions options;
    options.write = options.create = true;
    auto file = files_.Open(path_, options);
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = std::move(*file);
    ASSERT_TRUE(file_->WriteAt(0, std::string(16 * page_, 'x')).ok());
    mapping_ = Map();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Mapping> Map() {
    auto mapping = file_->Map(1 << 20);
    EXPECT_TRUE(mapping.ok()) << mapping.status();
    return std::move(*mapping);
  }
  void Read(size_t offset) { sum_ = sum_ + mapping_->data()[offset]; }

  const size_t page_ = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::string directory_ = testing::TempDir() + "/faultsXXXXXX";
  std::string path_;
  PosixFileSystem files_;
  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
  volatile char sum_ = 0;
};
using MappingFaultsDeathTest = MappingFaultsTest;

TEST_F(MappingFaultsDeathTest, NamesFileAndOffset) {
  const size_t offset = 9 * page_ + 17;
  const std::string text =
      R"(\{"level":"fatal","ts":"20..-..-..T..:..:..\.......Z",)"
      R"("caller":"base/mapping_faults.cc","msg":"a page of a mapped file can't be read",)"
      R"("file":".*/a \\"db\\"","offset":)" +
      std::to_string(offset) + ",\"error\":\"the file was cut short while in use: it ends at byte " +
      std::to_string(2 * page_) + "; restore this member";
  EXPECT_EXIT(
      {
        InstallMappingFaultHandler();
        Read(offset);
        ASSERT_TRUE(file_->Truncate(2 * page_).ok());
        Read(page_);
        Read(offset);
      },
      testing::ExitedWithCode(kExitMappedPageLost), text);
}

TEST_F(MappingFaultsDeathTest, OneLineOfManyThreads) {
  EXPECT_EXIT(
      {
        InstallMappingFaultHandler();
        ASSERT_TRUE(file_->Truncate(0).ok());
        std::vector<std::thread> threads;
        for (size_t i = 0; i < 8; ++i) threads.emplace_back([this, i] { Read(i * page_); });
        for (std::thread& thread : threads) thread.join();
      },
      testing::ExitedWithCode(kExitMappedPageLost), testing::Truly([](const std::string& text) {
        return std::count(text.begin(), text.end(), '\n') == 1;
      }));
}

TEST_F(MappingFaultsDeathTest, ForgottenRangesAndOtherMemoryKeepTheOldWay) {
  struct sigaction old {};
  old.sa_handler = [](int) { ::_exit(7); };
  // A range that is no longer known.
  EXPECT_EXIT(
      {
        ::sigaction(SIGBUS, &old, nullptr);
        InstallMappingFaultHandler();
        const char* data = mapping_->data();
        mapping_.reset();
        { const MappedFileRange gone(data, page_, "gone"); }
        auto* memory =
            static_cast<char*>(::mmap(nullptr, 4 * page_, PROT_READ, MAP_SHARED, ::fileno(::tmpfile()), 0));
        sum_ = sum_ + *memory;
      },
      testing::ExitedWithCode(7), "^$");
  EXPECT_EXIT(
      {
        ::sigaction(SIGBUS, &old, nullptr);
        InstallMappingFaultHandler();
        ::raise(SIGBUS);
      },
      testing::ExitedWithCode(7), "^$");
}

TEST_F(MappingFaultsTest, TheTableTakesSlotsAgain) {
  for (size_t round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Mapping>> mappings;
    for (size_t i = 0; i < kMappedFileRangesMax + 2; ++i) mappings.push_back(Map());
  }
  EXPECT_EXIT(
      {
        InstallMappingFaultHandler();
        mapping_ = Map();
        ASSERT_TRUE(file_->Truncate(0).ok());
        Read(0);
      },
      testing::ExitedWithCode(kExitMappedPageLost), "ends at byte 0;");
}

}  // namespace
}  // namespace quorate
