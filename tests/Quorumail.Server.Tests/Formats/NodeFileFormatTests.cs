using System.Net;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Raft;
using Quorumail.Server.Storage;
using Quorumail.Server.Tests.Storage;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>The small files by which a disk knows what it is, and who the others are.</summary>
public sealed class NodeFileFormatTests : IDisposable
{
    private static readonly Guid Disk = new("00112233-4455-6677-8899-aabbccddeeff");
    private static readonly Guid Cluster = new("ffeeddcc-bbaa-9988-7766-554433221100");

    private readonly TemporaryDirectory _directory = new();

    private string File => Path.Combine(_directory.Path, "file");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void All_are_read_and_written_as_ever()
    {
        var file = GoldenFile.Open("node-files.golden");
        file.Holds("identity", new NodeIdentity("nöde1", Cluster, 3, 9), value => Written(value.Write), bytes => NodeIdentity.Read(Golden(bytes))!);
        file.Holds("disk", new DiskMark(Disk, "node2", Cluster), value => Written(value.Write), bytes => DiskMark.ReadOrMake(Golden(bytes)));
        file.Holds("disk-without-promise", new DiskMark(Disk, "", Guid.Empty), value => Written(value.Write), bytes => DiskMark.ReadOrMake(Golden(bytes)));
        file.Holds(
            "members",
            (5L, "node1:1 nöde2:70"),
            _ => Written(path => MembershipFile.Found(path, [new DnsEndPoint("nöde2", 70), new DnsEndPoint("node1", 1)], 5)),
            bytes =>
            {
                var members = MembershipFile.Read(Golden(bytes));
                return (members.Version, string.Join(' ', members.Members.Cast<DnsEndPoint>().Select(m => $"{m.Host}:{m.Port}").Order(StringComparer.Ordinal)));
            });
        file.Holds("cluster-state", (11L, 2), _ => Written(SaveState), bytes =>
        {
            var state = new ClusterState(Golden(bytes));
            return (state.DurableIndex, state.FeatureLevel);
        });
        file.Holds(
            "recovery",
            new RecoveryMark(3, ["node1", "node2"]),
            value =>
            {
                value.Write(_directory.Path);
                return System.IO.File.ReadAllBytes(Path.Combine(_directory.Path, "recovery"));
            },
            bytes =>
            {
                System.IO.File.WriteAllBytes(Path.Combine(_directory.Path, "recovery"), bytes);
                return RecoveryMark.Read(_directory.Path)!;
            });
        file.Close();
    }

    [Fact]
    public void The_stamp_of_a_data_directory_is_read_as_ever()
    {
        var file = GoldenFile.Open("data-directory.golden");
        using (var made = DataDirectory.Open(_directory.Path))
        {
            made.MarkFormed();
        }

        var path = Path.Combine(_directory.Path, "stamp.json");
        file.Writes("stamp", System.IO.File.ReadAllBytes(path));
        System.IO.File.WriteAllText(path, """{"format":1,"disk_id":"0123456789abcdef0123456789abcdef","formed":true}""");
        using (var again = DataDirectory.Open(_directory.Path))
        {
            Assert.Equal(new DiskStamp(1, "0123456789abcdef0123456789abcdef", Formed: true), again.Stamp);
        }

        file.Close();
        System.IO.File.WriteAllText(path, """{"format":2,"disk_id":"0123456789abcdef0123456789abcdef","formed":true}""");
        Assert.Contains("format 2", Assert.Throws<StorageException>(() => DataDirectory.Open(_directory.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Later_formats_are_refused()
    {
        var file = GoldenFile.Open("node-files.golden");
        foreach (var (name, read) in ((string, Action<string>)[])
            [
                ("identity", path => NodeIdentity.Read(path)),
                ("disk", path => DiskMark.ReadOrMake(path)),
                ("members", path => MembershipFile.Read(path)),
                ("cluster-state", path => _ = new ClusterState(path)),
            ])
        {
            // The version is the first octet, but for the index before the members; the checksum is right.
            var later = file[name];
            later[name == "members" ? 8 : 0]++;
            BitConverter.TryWriteBytes(later.AsSpan(later.Length - 8), System.IO.Hashing.XxHash3.HashToUInt64(later.AsSpan(0, later.Length - 8)));
            var refusal = Assert.ThrowsAny<Exception>(() => read(Golden(later)));
            Assert.True(refusal is JournalException or LogFormatException, refusal.ToString());
            Assert.Matches("format 2|of a version that this program does not read", refusal.Message);
        }
    }

    private static void SaveState(string path)
    {
        var state = new ClusterState(path);
        state.Apply(new LoggedCommand(CommandTarget.Cluster, 3, 0, ClusterCommand.RaiseFeatureLevel(2)));
        state.AppliedUpTo(11);
        state.Save(state.Render([11]));
    }

    private byte[] Written(Action<string> write)
    {
        System.IO.File.Delete(File);
        write(File);
        return System.IO.File.ReadAllBytes(File);
    }

    private string Golden(byte[] bytes)
    {
        System.IO.File.WriteAllBytes(File, bytes);
        return File;
    }
}
