using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using Quorumail.Cluster.Disk;
using Quorumail.Core.Mail;
using Quorumail.Server.Delivery.Transport;

namespace Quorumail.Server.Delivery.Maildir;

/// <summary>
/// Writes messages into Maildirs below one folder: into tmp, fsync, rename into new, fsync of new. Folders 0700, files 0600. A
/// delivery that is repeated finds its file by name and does nothing, unless the reader has deleted it meanwhile.
/// </summary>
internal sealed class MaildirStore(string root, MaildirCommitter committer, string nodeId)
{
    /// <summary>Mailboxes whose folders are known to exist.</summary>
    private const int KnownMax = 100_000;

    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode FileMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly ConcurrentDictionary<string, bool> _known = new(StringComparer.Ordinal);

    /// <summary>Delivers a message and returns when it is durable.</summary>
    /// <param name="mailbox">The mailbox's name, any text.</param>
    /// <param name="id">The message.</param>
    /// <param name="recipient">The recipient's index in the envelope.</param>
    /// <param name="reversePath">Empty for the null sender.</param>
    /// <param name="address">The recipient's address.</param>
    /// <param name="content">Read to its end.</param>
    /// <param name="mayBeRepeated">Whether the message may be there already; then new and cur are searched.</param>
    /// <param name="token">Gives up before the file is handed over; afterwards the outcome is awaited.</param>
    /// <exception cref="IOException">The disk is full or has failed.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder is not ours to write.</exception>
    /// <exception cref="Storage.StorageException">The message can't be read.</exception>
    public async Task DeliverAsync(
        string mailbox, QueueId id, int recipient, string reversePath, string address, MessageContent content, bool mayBeRepeated, CancellationToken token)
    {
        var folder = Path.Combine(root, MailboxName.ToFolder(mailbox));
        var name = MaildirFormat.FileName(id, recipient);
        var final = Path.Combine(folder, "new", name);
        if (mayBeRepeated && FolderOf(folder, name) is { } found)
        {
            // Who filed it may have ended before its name was durable.
            Fsync.Directory(found);
            return;
        }

        if (!_known.ContainsKey(folder))
        {
            MakeFolders(folder);
        }

        // Other nodes may share the folder, and file the same message after a take-over.
        var temporary = Path.Combine(folder, "tmp", $"{name}.{MailboxName.ToFolder(nodeId)}");
        SafeFileHandle file;
        try
        {
            file = Create(temporary);
        }
        catch (DirectoryNotFoundException)
        {
            // Somebody has removed the mailbox while we run.
            MakeFolders(folder);
            file = Create(temporary);
        }

        try
        {
            await WriteAsync(file, reversePath, address, content, token);
        }
        catch
        {
            file.Dispose();
            File.Delete(temporary);
            throw;
        }

        try
        {
            await committer.CommitAsync(file, temporary, final, token);
        }
        catch (IOException)
        {
            // Its folders may be what is missing: the next try makes them.
            _known.TryRemove(folder, out _);
            throw;
        }
    }

    private static async Task WriteAsync(
        SafeFileHandle file, string reversePath, string address, MessageContent content, CancellationToken token)
    {
        // Into the page cache: it doesn't block, and the committer's threads wait for the disk.
        var head = MaildirFormat.Head(reversePath, address);
        RandomAccess.Write(file, head, 0);
        long offset = head.Length;
        var carriageReturn = false;
        while (true)
        {
            var piece = await content.ReadAsync(token);
            if (piece.IsEmpty)
            {
                break;
            }

            var buffer = ArrayPool<byte>.Shared.Rent(piece.Length + 1);
            try
            {
                var length = MaildirFormat.Convert(piece.Span, buffer, ref carriageReturn);
                RandomAccess.Write(file, buffer.AsSpan(0, length), offset);
                offset += length;
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }

        if (carriageReturn)
        {
            RandomAccess.Write(file, "\r"u8, offset);
        }
    }

    /// <summary>A file that an earlier life left behind under this name is begun anew.</summary>
    private static SafeFileHandle Create(string path)
    {
        var handle = File.OpenHandle(path, System.IO.FileMode.Create, FileAccess.Write, FileShare.Read);
        File.SetUnixFileMode(handle, FileMode);
        return handle;
    }

    /// <summary>Where a file is, or null. A reader moves files from new to cur and puts flags behind their names.</summary>
    private static string? FolderOf(string folder, string name)
    {
        var fresh = Path.Combine(folder, "new");
        if (File.Exists(Path.Combine(fresh, name)))
        {
            return fresh;
        }

        var cur = Path.Combine(folder, "cur");
        return Directory.Exists(cur) && Directory.EnumerateFiles(cur, name + "*").Any() ? cur : null;
    }

    private void MakeFolders(string folder)
    {
        // One by one: the mode is given to the last folder of a path only.
        Directory.CreateDirectory(root, FolderMode);
        Directory.CreateDirectory(folder, FolderMode);
        foreach (var part in (ReadOnlySpan<string>)["tmp", "cur", "new"])
        {
            Directory.CreateDirectory(Path.Combine(folder, part), FolderMode);
        }

        Fsync.Directory(folder);
        Fsync.Directory(root);
        if (_known.Count >= KnownMax)
        {
            _known.Clear();
        }

        _known[folder] = true;
    }
}
