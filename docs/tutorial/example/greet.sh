#!/bin/sh
echo "hello, NAME, from an image that img built"
