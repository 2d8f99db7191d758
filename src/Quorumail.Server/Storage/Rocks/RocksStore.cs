using System.Buffers;

namespace Quorumail.Server.Storage.Rocks;

/// <summary>
/// An open RocksDB database. Reads may come from any thread. Closing waits for the calls that are under way; who comes later is refused by a
/// <see cref="RocksException"/>, where RocksDB itself would take down the process.
/// </summary>
internal sealed unsafe class RocksStore : IDisposable
{
    /// <summary>How long closing waits for calls under way: a read takes milliseconds.</summary>
    private static readonly TimeSpan ClosePatience = TimeSpan.FromSeconds(10);

    private readonly nint _syncedWrite = WriteOptions(sync: true);
    private readonly nint _plainWrite = WriteOptions(sync: false);
    private readonly nint _unloggedWrite = UnloggedWriteOptions(waits: true);
    private readonly nint _instantWrite = UnloggedWriteOptions(waits: false);
    private readonly nint _read = ReadOptions(keysOnly: false);
    private readonly nint _readKeys = ReadOptions(keysOnly: true);
    private readonly RocksFamily[] _families;
    private nint _handle;

    // Calls under way, open iterators among them, and whether no more may begin.
    private int _users;
    private int _isClosing;

    private RocksStore(nint handle, RocksFamily[] families)
    {
        _handle = handle;
        _families = families;
    }

    /// <summary>Opens or creates a database.</summary>
    /// <param name="path">An existing directory.</param>
    /// <param name="options">Options of the database, in RocksDB's "name=value;name=value" form.</param>
    /// <param name="families">Names of the column families, each with its options; "default" must be one of them.</param>
    /// <exception cref="RocksException">Damaged, locked, or not readable.</exception>
    public static RocksStore Open(string path, string options, IReadOnlyList<(string Name, string Options)> families)
    {
        var handles = stackalloc nint[families.Count];
        var familyOptions = stackalloc nint[families.Count];
        var made = 0;
        nint databaseOptions = 0;
        try
        {
            databaseOptions = ParseOptions(options);
            for (; made < families.Count; made++)
            {
                familyOptions[made] = ParseOptions(families[made].Options);
            }

            var names = families.Select(family => family.Name).ToArray();
            var handle = RocksNative.OpenColumnFamilies(
                databaseOptions, path, names.Length, names, familyOptions, handles, out var error);
            RocksNative.Check(error);
            var opened = new RocksFamily[names.Length];
            for (var i = 0; i < opened.Length; i++)
            {
                opened[i] = new RocksFamily(names[i], handles[i]);
            }

            return new RocksStore(handle, opened);
        }
        finally
        {
            for (var i = 0; i < made; i++)
            {
                RocksNative.OptionsDestroy(familyOptions[i]);
            }

            if (databaseOptions != 0)
            {
                RocksNative.OptionsDestroy(databaseOptions);
            }
        }
    }

    /// <summary>The column family of this name, which must have been opened.</summary>
    public RocksFamily Family(string name) => _families.Single(family => family.Name == name);

    /// <summary>Writes a batch to the write-ahead log and the memtables; with <paramref name="sync"/> it is on the disk on return.</summary>
    /// <exception cref="RocksException">The disk failed or is full: nothing more can be written.</exception>
    public void Write(RocksBatch batch, bool sync)
    {
        using var use = Use();
        RocksNative.Write(_handle, sync ? _syncedWrite : _plainWrite, batch.Handle, out var error);
        RocksNative.Check(error);
    }

    /// <summary>
    /// Puts a value into the memtable alone: it is durable once the family is flushed, and must be so elsewhere until then.
    /// From any thread.
    /// </summary>
    /// <returns>False if the database is behind and <paramref name="waits"/> is false: nothing was written.</returns>
    /// <exception cref="RocksException">The disk failed or is full.</exception>
    public bool PutUnlogged(RocksFamily family, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, bool waits)
    {
        using var use = Use();
        byte* error;
        fixed (byte* k = key, v = value)
        {
            RocksNative.Put(
                _handle, waits ? _unloggedWrite : _instantWrite, family.Handle, k, (nuint)key.Length, v, (nuint)value.Length, out error);
        }

        try
        {
            RocksNative.Check(error);
            return true;
        }
        catch (RocksException stall) when (!waits && stall.IsStall)
        {
            return false;
        }
    }

    /// <summary>Reads a value into a buffer rented from the shared pool.</summary>
    /// <returns>The buffer, to be returned to the pool by the caller, or null if there is no such key.</returns>
    /// <exception cref="RocksException">Damaged, or not readable.</exception>
    public byte[]? Rent(RocksFamily family, ReadOnlySpan<byte> key, out int length)
    {
        using var use = Use();
        fixed (byte* k = key)
        {
            var pinned = RocksNative.GetPinned(_handle, _read, family.Handle, k, (nuint)key.Length, out var error);
            RocksNative.Check(error);
            if (pinned == 0)
            {
                length = 0;
                return null;
            }

            var value = RocksNative.PinnedValue(pinned, out var valueLength);
            length = checked((int)valueLength);
            var buffer = ArrayPool<byte>.Shared.Rent(Math.Max(length, 1));
            new ReadOnlySpan<byte>(value, length).CopyTo(buffer);
            RocksNative.PinnedDestroy(pinned);
            return buffer;
        }
    }

    /// <summary>Reads a small value.</summary>
    /// <returns>A new array, or null if there is no such key.</returns>
    /// <exception cref="RocksException">Damaged, or not readable.</exception>
    public byte[]? Get(RocksFamily family, ReadOnlySpan<byte> key)
    {
        var buffer = Rent(family, key, out var length);
        if (buffer is null)
        {
            return null;
        }

        var value = buffer.AsSpan(0, length).ToArray();
        ArrayPool<byte>.Shared.Return(buffer);
        return value;
    }

    /// <summary>Walks a family. With <paramref name="keysOnly"/> large values are not read, and must not be asked for.</summary>
    /// <exception cref="RocksException">The database is closed.</exception>
    public RocksIterator Iterate(RocksFamily family, bool keysOnly = false)
    {
        Enter();
        return new RocksIterator(this, RocksNative.IteratorCreate(_handle, keysOnly ? _readKeys : _read, family.Handle));
    }

    /// <summary>A number that RocksDB keeps about itself, such as "rocksdb.background-errors"; 0 if it doesn't know it.</summary>
    /// <exception cref="RocksException">The database is closed.</exception>
    public long Property(RocksFamily family, string name)
    {
        using var use = Use();
        return RocksNative.PropertyInt(_handle, family.Handle, name, out var value) == 0 ? (long)value : 0;
    }

    /// <summary>Changes options of a family at once, of those that RocksDB lets be changed.</summary>
    /// <exception cref="RocksException">They can't be changed, or the disk has failed.</exception>
    public void SetOptions(RocksFamily family, params (string Name, string Value)[] options)
    {
        using var use = Use();
        RocksNative.SetOptions(
            _handle, family.Handle, options.Length, [.. options.Select(o => o.Name)], [.. options.Select(o => o.Value)], out var error);
        RocksNative.Check(error);
    }

    /// <summary>Writes the memtables of a family to tables and waits for it.</summary>
    /// <exception cref="RocksException">The disk failed or is full.</exception>
    public void Flush(RocksFamily family)
    {
        using var use = Use();
        var options = RocksNative.FlushOptionsCreate();
        RocksNative.Flush(_handle, options, family.Handle, out var error);
        RocksNative.FlushOptionsDestroy(options);
        RocksNative.Check(error);
    }

    /// <summary>Ends the background work and every wait for it, which then throw. What is written comes to no table any more; reading goes on.</summary>
    public void Abandon()
    {
        using var use = Use();
        RocksNative.CancelAllBackgroundWork(_handle, 0);
    }

    /// <summary>An iterator is closed, or another call has come to its end.</summary>
    internal void Leave() => Interlocked.Decrement(ref _users);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isClosing, 1) != 0)
        {
            return;
        }

        RocksNative.CancelAllBackgroundWork(_handle, 1);
        if (!SpinWait.SpinUntil(() => Volatile.Read(ref _users) == 0, ClosePatience))
        {
            return; // Somebody is stuck in it: it is left open, and ends with the process.
        }

        foreach (var family in _families)
        {
            RocksNative.FamilyDestroy(family.Handle);
        }

        RocksNative.Close(_handle);
        _handle = 0;
        RocksNative.WriteOptionsDestroy(_syncedWrite);
        RocksNative.WriteOptionsDestroy(_plainWrite);
        RocksNative.WriteOptionsDestroy(_unloggedWrite);
        RocksNative.WriteOptionsDestroy(_instantWrite);
        RocksNative.ReadOptionsDestroy(_read);
        RocksNative.ReadOptionsDestroy(_readKeys);
    }

    private Lease Use()
    {
        Enter();
        return new Lease(this);
    }

    private void Enter()
    {
        Interlocked.Increment(ref _users);
        if (Volatile.Read(ref _isClosing) != 0)
        {
            Leave();
            throw new RocksException("Shutdown in progress: the database is closed");
        }
    }

    private static nint ParseOptions(string text)
    {
        var defaults = RocksNative.OptionsCreate();
        var parsed = RocksNative.OptionsCreate();
        try
        {
            RocksNative.GetOptionsFromString(defaults, text, parsed, out var error);
            RocksNative.Check(error);
            return parsed;
        }
        catch
        {
            RocksNative.OptionsDestroy(parsed);
            throw;
        }
        finally
        {
            RocksNative.OptionsDestroy(defaults);
        }
    }

    private static nint WriteOptions(bool sync)
    {
        var options = RocksNative.WriteOptionsCreate();
        RocksNative.WriteOptionsSetSync(options, sync ? (byte)1 : (byte)0);
        return options;
    }

    private static nint UnloggedWriteOptions(bool waits)
    {
        var options = WriteOptions(sync: false);
        RocksNative.WriteOptionsDisableLog(options, 1);
        RocksNative.WriteOptionsSetNoSlowdown(options, waits ? (byte)0 : (byte)1);
        return options;
    }

    private static nint ReadOptions(bool keysOnly)
    {
        var options = RocksNative.ReadOptionsCreate();

        // Bodies are read once, records at start only: neither should push anything out of the block cache.
        RocksNative.ReadOptionsSetFillCache(options, 0);
        RocksNative.ReadOptionsSetAllowUnpreparedValue(options, keysOnly ? (byte)1 : (byte)0);
        return options;
    }

    /// <summary>A call under way.</summary>
    private readonly ref struct Lease(RocksStore store)
    {
        public void Dispose() => store.Leave();
    }
}
