using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Tests.Storage;

namespace Quorumail.Server.Tests.Queue;

public sealed class MessageHistoryTests : IDisposable
{
    private const long SizeMax = 16 << 20;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void What_was_noted_is_told_after_a_restart_in_order_and_of_its_message_alone()
    {
        var (first, second) = (QueueId.Create(1000, 1), QueueId.Create(1000, 2));
        using (var history = Open())
        {
            history.Write([Note(second, 5, 0, "b"), Note(first, 4, 1, "two"), Note(first, 4, 0, "one")]);
        }

        using var again = Open();
        again.Write([Note(first, 700, 0, "three")]);
        Assert.Equal(["one", "two", "three"], again.Read(first).Select(noted => noted.Reason));
        Assert.Equal(["b"], again.Read(second).Select(noted => noted.Reason));
        Assert.Empty(again.Read(QueueId.Create(1000, 3)));
    }

    [Fact]
    public void What_is_applied_again_after_a_crash_is_told_once()
    {
        var id = QueueId.Create(1000, 1);
        using var history = Open();
        history.Write([Note(id, 4, 0, "once")]);
        history.Write([Note(id, 4, 0, "once")]);
        Assert.Single(history.Read(id));
    }

    [Fact]
    public void Its_files_are_bounded_and_the_oldest_go_first()
    {
        var (oldest, latest) = (QueueId.Create(1000, 0), QueueId.Create(1000, 9999));
        using (var history = Open())
        {
            history.Write([Note(oldest, 1, 0, "oldest")]);

            // What can't be compressed, so that it takes the room that it has.
            var random = new Random(1);
            var octets = new byte[3000];
            for (var batch = 0; batch < 40; batch++)
            {
                history.Write(
                [
                    .. Enumerable.Range(0, 500).Select(n =>
                    {
                        random.NextBytes(octets);
                        return Note(QueueId.Create(1000 + batch, (uint)n + 1), 2 + batch, n, Convert.ToBase64String(octets));
                    }),
                ]);
            }

            history.Write([Note(latest, 1000, 0, "latest")]);
        }

        var size = new DirectoryInfo(_directory.Path).EnumerateFiles("*.sst", SearchOption.AllDirectories).Sum(file => file.Length);
        Assert.InRange(size, 1, 2 * SizeMax);
        using var again = Open();
        Assert.Empty(again.Read(oldest));
        Assert.Single(again.Read(latest));
    }

    [Fact]
    public void Damage_begins_it_anew_and_stops_nothing()
    {
        var id = QueueId.Create(1000, 1);
        using (var history = Open())
        {
            history.Write([Note(id, 4, 0, "lost")]);
        }

        foreach (var manifest in Directory.EnumerateFiles(Path.Combine(_directory.Path, "history"), "MANIFEST-*"))
        {
            File.WriteAllBytes(manifest, new byte[100]);
        }

        using var again = Open();
        Assert.Null(again.Failure);
        again.Write([Note(id, 5, 0, "kept")]);
        Assert.Equal(["kept"], again.Read(id).Select(noted => noted.Reason));
    }

    [Fact]
    public void A_place_that_can_not_be_used_is_told_and_stops_nothing()
    {
        File.WriteAllText(Path.Combine(_directory.Path, "history"), "a file");
        using var history = Open();
        Assert.NotNull(history.Failure);
        history.Write([Note(QueueId.Create(1000, 1), 4, 0, "nowhere")]);
        Assert.Empty(history.Read(QueueId.Create(1000, 1)));
    }

    private static HistoryNote Note(QueueId id, long index, int place, string reason) =>
        new(index, place, 5, null, null, new Removal(1, id, "ann@a.example", 1, 0, 5, reason), IsOver: true);

    private MessageHistory Open() =>
        MessageHistory.Open(Path.Combine(_directory.Path, "history"), SizeMax, TimeSpan.FromDays(7), NullLogger.Instance);
}
