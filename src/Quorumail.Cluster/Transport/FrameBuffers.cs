using System.Buffers;

namespace Quorumail.Cluster.Transport;

/// <summary>
/// Buffers for frames. Large ones come from a pool of our own: the shared one keeps them by thread, and a buffer that one
/// thread fills and another gives back would be allocated again and again.
/// </summary>
internal static class FrameBuffers
{
    private const int SmallMax = 64 * 1024;
    private const int LargeMax = 2 << 20;

    // At most 16 of each power of two: some 64 MiB.
    private static readonly ArrayPool<byte> Large = ArrayPool<byte>.Create(LargeMax, maxArraysPerBucket: 16);

    /// <summary>A buffer of at least this length.</summary>
    public static byte[] Rent(int length) => PoolOf(length).Rent(length);

    /// <summary>Gives a buffer back.</summary>
    public static void Return(byte[] buffer) => PoolOf(buffer.Length).Return(buffer);

    private static ArrayPool<byte> PoolOf(int length) => length is > SmallMax and <= LargeMax ? Large : ArrayPool<byte>.Shared;
}
