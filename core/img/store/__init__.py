"""What is kept between builds: blobs, unpacked layers, records of finished steps, images."""
