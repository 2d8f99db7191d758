using System.Collections.Concurrent;
using System.Diagnostics;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;

namespace Quorumail.StorageBench;

/// <summary>Writers that each write one body after the other.</summary>
internal sealed class BodyLoad
{
    private static long _ids;

    private readonly Database _database;
    private readonly BodyStore _bodies;
    private readonly byte[] _octets;
    private readonly int _lag;
    private readonly ConcurrentQueue<QueueId> _written = new();
    private readonly List<double>[] _milliseconds;

    public BodyLoad(Database database, int size, int writers, int lag)
    {
        _database = database;
        _bodies = new BodyStore(database);
        _octets = new byte[size];
        new Random(size).NextBytes(_octets);
        _lag = lag;
        _milliseconds = Enumerable.Range(0, writers).Select(_ => new List<double>()).ToArray();
    }

    public long Count => _milliseconds.Sum(list => (long)list.Count);

    public double Percentile(double part)
    {
        var all = _milliseconds.SelectMany(list => list).Order().ToArray();
        return all[(int)(part * (all.Length - 1))];
    }

    public async Task<TimeSpan> RunAsync(TimeSpan duration)
    {
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(_milliseconds.Select(list => Task.Run(() => WriteAsync(list, watch, duration))));
        return watch.Elapsed;
    }

    private async Task WriteAsync(List<double> milliseconds, Stopwatch watch, TimeSpan duration)
    {
        while (watch.Elapsed < duration)
        {
            var from = Stopwatch.GetTimestamp();
            var id = QueueId.Create(1_700_000_000_000 + watch.ElapsedMilliseconds, (uint)Interlocked.Increment(ref _ids));
            await using (var writer = _bodies.Begin(id, _octets.Length))
            {
                await writer.WriteAsync(_octets, CancellationToken.None);
                await writer.CompleteAsync(CancellationToken.None);
            }

            milliseconds.Add(Stopwatch.GetElapsedTime(from).TotalMilliseconds);
            _written.Enqueue(id);
            if (_lag >= 0 && _written.Count > _lag && _written.TryDequeue(out var old))
            {
                // Nobody waits for a deletion.
#pragma warning disable CA2012
                _ = _database.Commits.WriteAsync(new BodyDeletion(_bodies, old, _octets.Length), CancellationToken.None);
#pragma warning restore CA2012
            }
        }
    }

    private sealed class BodyDeletion(BodyStore bodies, QueueId id, long size) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 16;

        public override void AddTo(Server.Storage.Rocks.RocksBatch batch) => bodies.AddDeletion(batch, id, size);
    }
}
