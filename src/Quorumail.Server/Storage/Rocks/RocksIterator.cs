namespace Quorumail.Server.Storage.Rocks;

/// <summary>Walks a column family in key order, as it was when the iterator was made. The database can't be closed before it is.</summary>
internal sealed unsafe class RocksIterator(RocksStore store, nint handle) : IDisposable
{
    private nint _handle = handle;

    /// <summary>The present key; valid until the next move.</summary>
    public ReadOnlySpan<byte> Key
    {
        get
        {
            var data = RocksNative.IteratorKey(_handle, out var length);
            return new ReadOnlySpan<byte>(data, checked((int)length));
        }
    }

    /// <summary>The present value; valid until the next move.</summary>
    public ReadOnlySpan<byte> Value
    {
        get
        {
            var data = RocksNative.IteratorValue(_handle, out var length);
            return new ReadOnlySpan<byte>(data, checked((int)length));
        }
    }

    /// <summary>Goes to the first key at or after <paramref name="key"/>.</summary>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="RocksException">The database can't be read.</exception>
    public bool Seek(ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
        {
            RocksNative.IteratorSeek(_handle, k, (nuint)key.Length);
        }

        return IsValid();
    }

    /// <summary>Goes to the next key.</summary>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="RocksException">The database can't be read.</exception>
    public bool Next()
    {
        RocksNative.IteratorNext(_handle);
        return IsValid();
    }

    public void Dispose()
    {
        if (_handle != 0)
        {
            RocksNative.IteratorDestroy(_handle);
            _handle = 0;
            store.Leave();
        }
    }

    private bool IsValid()
    {
        if (RocksNative.IteratorValid(_handle) != 0)
        {
            return true;
        }

        RocksNative.IteratorGetError(_handle, out var error);
        RocksNative.Check(error);
        return false;
    }
}
