using Microsoft.Extensions.Logging;
using Quorumail.Core.Mail;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Replication;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <summary>What the queue has on this disk: the database, the bodies, and the state that the log has made so far.</summary>
internal sealed class QueueDisk : IAsyncDisposable
{
    private QueueDisk(Database database, BodyStore bodies, ReplicatedQueue state)
    {
        Database = database;
        Bodies = bodies;
        State = state;
        Found = bodies.Ids().GetEnumerator();
        HasFound = Found.MoveNext();
    }

    public Database Database { get; }

    public BodyStore Bodies { get; }

    public ReplicatedQueue State { get; }

    /// <summary>What has become of messages; null if nothing is noted.</summary>
    public MessageHistory? History => State.History;

    /// <summary>The bodies that were there when the disk was opened; those that no message claims are of an earlier life.</summary>
    public IEnumerator<QueueId> Found { get; }

    /// <summary>Whether <see cref="Found"/> stands at a body.</summary>
    public bool HasFound { get; }

    /// <summary>Opens the data directory and reads the queue back.</summary>
    /// <param name="options">Where.</param>
    /// <param name="replicas">Makes the copies of bodies, once the database is open; null where there is this disk alone.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Told what the operator should know.</param>
    /// <exception cref="StorageException">The data directory can't be used; the message says why and what to do.</exception>
    public static async ValueTask<QueueDisk> OpenAsync(
        MailQueueOptions options, Func<Database, BodyReplicas>? replicas, TimeProvider time, ILoggerFactory loggers)
    {
        var database = Database.Open(options.Database, time, loggers.CreateLogger("storage"));
        try
        {
            var bodies = new BodyStore(database, replicas?.Invoke(database));
            return new QueueDisk(
                database, bodies, new ReplicatedQueue(database, bodies, options.WriteBehind, time, loggers) { History = OpenHistory(options, loggers) });
        }
        catch (RocksException failure)
        {
            await database.DisposeAsync();
            throw new StorageException($"The database in {database.Path} can't be read: {failure.Message}. Check the disk.", failure);
        }
        catch
        {
            await database.DisposeAsync();
            throw;
        }
    }

    private static MessageHistory? OpenHistory(MailQueueOptions options, ILoggerFactory loggers) => options.HistorySizeMax == 0
        ? null
        : MessageHistory.Open(
            Path.Combine(options.Database.Path, "history"), options.HistorySizeMax, options.HistoryKeep, loggers.CreateLogger("history"));

    /// <summary>Writes what is pending and closes. The log must be closed, and readers of bodies must have finished.</summary>
    public async ValueTask DisposeAsync()
    {
        Found.Dispose();
        await State.DisposeAsync();
        await Database.DisposeAsync();
        History?.Dispose();
    }
}
