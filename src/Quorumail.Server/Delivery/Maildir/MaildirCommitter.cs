using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;

namespace Quorumail.Server.Delivery.Maildir;

/// <summary>
/// Makes files durable and visible, many at a time: a thread takes all that wait, syncs each, renames each into new/ and syncs
/// each folder once. Threads of its own, because fsync blocks.
/// </summary>
internal sealed class MaildirCommitter : IDisposable
{
    private const int ThreadCount = 3;
    private const int BatchMax = 64;
    private const int WaitingMax = 1024;

    private readonly Channel<PendingFile> _waiting = Channel.CreateBounded<PendingFile>(WaitingMax);
    private readonly Thread[] _threads;
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public MaildirCommitter()
    {
        _threads = new Thread[ThreadCount];
        for (var i = 0; i < ThreadCount; i++)
        {
            _threads[i] = new Thread(Run) { IsBackground = true, Name = "maildir" };
            _threads[i].Start();
        }
    }

    /// <summary>
    /// Completes, with the error, when the disk has refused an fsync: what it holds is unknown from then on, and the node must stop.
    /// </summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>Takes a written file and returns when it is durable under its final name. The handle is closed here.</summary>
    /// <exception cref="IOException">It could not be.</exception>
    public async Task CommitAsync(SafeFileHandle file, string temporary, string final, CancellationToken token)
    {
        var pending = new PendingFile(file, temporary, final);
        try
        {
            await _waiting.Writer.WriteAsync(pending, token);
        }
        catch
        {
            file.Dispose();
            throw;
        }

        await pending.Done.Task;
    }

    public void Dispose()
    {
        _waiting.Writer.TryComplete();
        foreach (var thread in _threads)
        {
            thread.Join();
        }
    }

    private void Run()
    {
        var batch = new List<PendingFile>(BatchMax);
#pragma warning disable VSTHRD002 // A thread that only does this: it has nothing else to wait for.
        while (_waiting.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
#pragma warning restore VSTHRD002
        {
            while (batch.Count < BatchMax && _waiting.Reader.TryRead(out var pending))
            {
                batch.Add(pending);
            }

            Commit(batch);
            batch.Clear();
        }
    }

    private void Commit(List<PendingFile> batch)
    {
        foreach (var pending in batch)
        {
            Try(pending, () =>
            {
                using var file = pending.File;
                if (_failed.Task.IsCompleted)
                {
                    throw new IOException("the disk has failed before");
                }

                Sync(() => Fsync.File(file));
                File.Move(pending.Temporary, pending.Final, overwrite: true);
            });
        }

        foreach (var folder in batch.Where(static p => p.Error is null).GroupBy(static p => Path.GetDirectoryName(p.Final)!, StringComparer.Ordinal))
        {
            Exception? error = null;
            try
            {
                Sync(() => Fsync.Directory(folder.Key));
            }
            catch (IOException failure)
            {
                error = failure;
            }

            foreach (var pending in folder)
            {
                pending.Error = error;
            }
        }

        foreach (var pending in batch)
        {
            pending.Complete();
        }
    }

    private static void Try(PendingFile pending, Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            pending.Error = error;
        }
    }

    /// <summary>A refused fsync is never tried again: the kernel may have dropped the pages and would say yes.</summary>
    private void Sync(Action sync)
    {
        try
        {
            sync();
        }
        catch (IOException error)
        {
            _failed.TrySetResult(error);
            throw;
        }
    }

    private sealed class PendingFile(SafeFileHandle file, string temporary, string final)
    {
        public SafeFileHandle File { get; } = file;

        public string Temporary { get; } = temporary;

        public string Final { get; } = final;

        public Exception? Error { get; set; }

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Complete()
        {
            if (Error is null)
            {
                Done.SetResult();
            }
            else
            {
                Done.SetException(new IOException(Error.Message, Error));
            }
        }
    }
}
