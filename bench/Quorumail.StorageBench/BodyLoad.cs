using System.Collections.Concurrent;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.StorageBench;

/// <summary>Writes bodies, and deletes each when a number of younger ones are there.</summary>
internal sealed class BodyLoad : Load
{
    private static long _ids;

    private readonly Database _database;
    private readonly BodyStore _bodies;
    private readonly byte[] _octets;
    private readonly int _lag;
    private readonly ConcurrentQueue<QueueId> _written = new();

    public BodyLoad(Database database, int size, int writers, int lag)
        : base(writers)
    {
        _database = database;
        _bodies = new BodyStore(database);
        _octets = new byte[size];
        new Random(size).NextBytes(_octets);
        _lag = lag;
    }

    protected override async Task DoAsync()
    {
        var number = Interlocked.Increment(ref _ids);
        var id = QueueId.Create(1_700_000_000_000 + (number / 10), (uint)number);
        await using (var writer = _bodies.Begin(id, _octets.Length))
        {
            await writer.WriteAsync(_octets, CancellationToken.None);
            await writer.CompleteAsync(CancellationToken.None);
        }

        _written.Enqueue(id);
        if (_lag >= 0 && _written.Count > _lag && _written.TryDequeue(out var old))
        {
            // Nobody waits for a deletion.
#pragma warning disable CA2012
            _ = _database.Commits.WriteAsync(new BodyDeletion(_bodies, old, _octets.Length));
#pragma warning restore CA2012
        }
    }

    private sealed class BodyDeletion(BodyStore bodies, QueueId id, long size) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 16;

        public override void AddTo(RocksBatch batch) => bodies.AddDeletion(batch, id, size);
    }
}
