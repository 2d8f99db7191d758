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

    private readonly Action<SafeFileHandle> _sync;

    public MaildirCommitter()
        : this(Fsync.File)
    {
    }

    /// <param name="sync">Makes a file or an opened directory durable.</param>
    internal MaildirCommitter(Action<SafeFileHandle> sync)
    {
        _sync = sync;
        _threads = new Thread[ThreadCount];
        for (var i = 0; i < ThreadCount; i++)
        {
            _threads[i] = new Thread(Run) { IsBackground = true, Name = "maildir" };
            _threads[i].Start();
        }
    }

    /// <summary>
    /// Completes, with the error, when the disk has refused an fsync for another reason than lack of room: what it holds is unknown from then on, and the
    /// node must stop.
    /// </summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>Takes a written file and returns when it is durable under its final name. The handle is closed here.</summary>
    /// <exception cref="IOException">It could not be; no file is left, unless a reader has taken it.</exception>
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
        foreach (var folder in batch.GroupBy(static pending => Path.GetDirectoryName(pending.Final)!, StringComparer.Ordinal))
        {
            List<PendingFile> files = [.. folder];
            try
            {
                // Before anything is moved: a mailbox that was removed meanwhile, or one handle too many, is a mailbox's trouble.
                using var directory = Fsync.Open(folder.Key);
                files.ForEach(MakeVisible);
                MakeDurable(directory, folder.Key, files.FindAll(static pending => pending.Error is null));
            }
            catch (IOException error)
            {
                files.ForEach(pending => pending.Error ??= error);
            }

            files.ForEach(static pending => pending.Complete());
        }
    }

    private void MakeVisible(PendingFile pending)
    {
        try
        {
            if (_failed.Task.IsCompleted)
            {
                throw new IOException("the disk has failed before");
            }

            Sync(pending.File, pending.Final);
            File.Move(pending.Temporary, pending.Final, overwrite: true);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            pending.Error = error;
        }
    }

    private void MakeDurable(SafeFileHandle directory, string path, List<PendingFile> files)
    {
        if (files.Count == 0)
        {
            return;
        }

        try
        {
            Sync(directory, path);
        }
        catch (IOException error)
        {
            // The next try files it anew; if a reader has taken it, that try finds it where it is.
            foreach (var pending in files)
            {
                pending.Error = error;
                Delete(pending.Final);
            }
        }
    }

    /// <summary>
    /// A refused fsync is never tried again: the kernel may have dropped the pages and would say yes. Where there is no room (on NFS that shows
    /// here), the file is given up and the next try writes another. Any other error is the disk's.
    /// </summary>
    private void Sync(SafeFileHandle handle, string path)
    {
        try
        {
            _sync(handle);
        }
        catch (IOException error)
        {
            if (error.HResult is not (DiskError.NoSpace or DiskError.QuotaExceeded or DiskError.Stale))
            {
                _failed.TrySetResult(new IOException($"the disk of the Maildirs has failed at {path}: {error.Message}", error));
            }

            throw;
        }
    }

    private static void Delete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It is left behind: what is in tmp nobody reads, and in new the next try finds it.
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
            File.Dispose();
            if (Error is null)
            {
                Done.SetResult();
            }
            else
            {
                Delete(Temporary);
                Done.SetException(new IOException(Error.Message, Error));
            }
        }
    }
}
