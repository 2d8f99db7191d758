namespace Quorumail.Server.Storage.Rocks;

/// <summary>Changes that are written together or not at all. Used by one thread at a time; reused.</summary>
internal sealed unsafe class RocksBatch : IDisposable
{
    private nint _handle = RocksNative.BatchCreate();

    /// <summary>Number of changes.</summary>
    public int Count => RocksNative.BatchCount(_handle);

    internal nint Handle => _handle;

    public void Put(RocksFamily family, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        fixed (byte* k = key, v = value)
        {
            RocksNative.BatchPut(_handle, family.Handle, k, (nuint)key.Length, v, (nuint)value.Length);
        }
    }

    public void Delete(RocksFamily family, ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            RocksNative.BatchDelete(_handle, family.Handle, k, (nuint)key.Length);
        }
    }

    /// <summary>
    /// Deletes a key that was put exactly once since it last did not exist. Put and deletion annihilate each other as
    /// soon as they meet, so that a body that lives shorter than a memtable is never written to a table.
    /// </summary>
    public void SingleDelete(RocksFamily family, ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            RocksNative.BatchSingleDelete(_handle, family.Handle, k, (nuint)key.Length);
        }
    }

    /// <summary>Deletes all keys from <paramref name="from"/> up to but without <paramref name="to"/>.</summary>
    public void DeleteRange(RocksFamily family, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        fixed (byte* f = from, t = to)
        {
            RocksNative.BatchDeleteRange(_handle, family.Handle, f, (nuint)from.Length, t, (nuint)to.Length);
        }
    }

    public void Clear() => RocksNative.BatchClear(_handle);

    public void Dispose()
    {
        if (_handle != 0)
        {
            RocksNative.BatchDestroy(_handle);
            _handle = 0;
        }
    }
}
